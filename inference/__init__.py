"""Uses the champion: what photographs show, which to label next, their vectors, and the nearest photographs to a query.

    from inference import embed, open_index, predict, search, select, write_predictions

`embed`, `predict`, `search` and `select` shadow the modules of the same names: anything else is imported from its module (`from
inference.embed import Backbone`). docs/prediction.md describes predictions, docs/embeddings.md vectors and their files.

Keras' settings, in keras.json or the environment, do not count in a process that imports `inference` before Keras; afterwards
others than the default ones are refused with contracts.libraries.WrongKerasSettings.
"""

from contracts import libraries

libraries.set_variables_or_check()  # before the imports below import Keras

from inference.embed import embed  # noqa: E402
from inference.index import open_index  # noqa: E402
from inference.predict import predict  # noqa: E402
from inference.prediction_files import write_predictions  # noqa: E402
from inference.search import search  # noqa: E402
from inference.select import select  # noqa: E402

__all__ = ["embed", "open_index", "predict", "search", "select", "write_predictions"]
