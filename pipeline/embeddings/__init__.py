"""What the champion is for: vectors of photographs, and the nearest ones to a query. `flowers embed` and `flowers search`.

    from pipeline.embeddings import embed, search

`backbone` finds and loads the network, `described` turns photographs into vectors, `embedding` writes those of a source with
`index`, `nearest` compares, `searching` asks, `contact_sheet` shows. docs/embeddings.md describes files and vectors.
"""

from pipeline.embeddings.embedding import embed
from pipeline.embeddings.index import open_index
from pipeline.embeddings.searching import search

__all__ = ["embed", "open_index", "search"]
