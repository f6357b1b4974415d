"""Report: the last node, which writes one HTML page a run.

`component` is the TFX component; `artifacts` reads the outputs of the other nodes, `pictures` and `charts` draw, `sections` has
text and figures, `page` fills `templates/`, and `entry_point` starts the component on Vertex AI.
"""
