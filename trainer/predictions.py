"""What the probe says of each eval photograph, and which train photographs are nearest to a few: for the run's page.

Called by `linear_eval` when everything has been measured; nothing is chosen or measured by it.
"""

import numpy as np

from trainer.linear_evaluation import Features
from trainer.neighbours import nearest, normalize
from trainer.probe import Probe

# Photographs whose embeddings are kept: more would be a blot on a page, and 1,000 of 2,048 features take 4 MB.
EMBEDDINGS = 1000
# Rows of the gallery at most, and pictures in each.
QUERIES = 8
NEIGHBOURS = 6


def predictions(probe: Probe, features: Features) -> dict[str, np.ndarray]:
    """The arrays of contracts.model_files.PREDICTIONS.

    Queries are the first eval photograph of each class, of at most QUERIES classes spread evenly over all. Records are sorted by
    content hash, so that the first ones are a random sample.
    """
    probabilities = probe.probabilities(features.eval)
    _, first_of_class = np.unique(features.eval_labels, return_index=True)
    spread = np.linspace(0, len(first_of_class) - 1, min(QUERIES, len(first_of_class))).round().astype(int)
    query = first_of_class[spread]
    neighbour, similarity = nearest(features.train, features.eval[query], NEIGHBOURS)
    return {
        "label": features.eval_labels.astype(np.int32),
        "predicted": probabilities.argmax(axis=1).astype(np.int32),
        "confidence": probabilities.max(axis=1).astype(np.float32),
        "embedding": normalize(features.eval[:EMBEDDINGS]).astype(np.float16),
        "query": query.astype(np.int32),
        "neighbour": neighbour.astype(np.int32),
        "similarity": similarity.astype(np.float32),
    }
