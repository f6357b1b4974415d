"""What the champion is for: vectors of photographs, and the nearest ones to a query. `flowers embed` and `flowers search`.

    from inference import embed, open_index, search

The functions hide the modules that they come from: what else is in those is imported by its name (`from inference.embed import
Backbone`). docs/embeddings.md describes files and vectors.
"""

from inference.embed import embed
from inference.index import open_index
from inference.search import search

__all__ = ["embed", "open_index", "search"]
