"""Uses the champion: vectors of photographs, and the nearest photographs to a query. `flowers embed` and `flowers search`.

    from inference import embed, open_index, search

These functions shadow the modules of the same names: anything else is imported from its module (`from inference.embed import
Backbone`). docs/embeddings.md describes files and vectors.
"""

from inference.embed import embed
from inference.index import open_index
from inference.search import search

__all__ = ["embed", "open_index", "search"]
