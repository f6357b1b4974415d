"""Report: the last node, which writes one HTML page a run.

`component` is the TFX component; `artifacts` reads what the other nodes left, `pictures`, `charts` and `embedding_map` draw,
`words` and `figures` say it in text and numbers, `page` puts it into `templates/`.
"""
