"""Uses the champion: what photographs show, which to label next, their vectors, and the nearest photographs to a query.

    from inference import embed, open_index, predict, search, select, write_predictions

`embed`, `predict`, `search` and `select` shadow the modules of the same names: anything else is imported from its module (`from
inference.embed import Backbone`). docs/prediction.md describes predictions, docs/embeddings.md vectors and their files.
"""

from inference.embed import embed
from inference.index import open_index
from inference.predict import predict
from inference.prediction_files import write_predictions
from inference.search import search
from inference.select import select

__all__ = ["embed", "open_index", "predict", "search", "select", "write_predictions"]
