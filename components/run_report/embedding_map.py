"""Where eval photographs lie in the embedding, in two dimensions: t-SNE, deterministic. Called by `figures`."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

# Photographs on the map: more hide each other, and t-SNE takes seconds for each further thousand.
SHOWN = 600
# t-SNE's authors reduce to 30 dimensions first (van der Maaten and Hinton, JMLR 9, 2008, section 4.2).
DIMENSIONS = 30
# The usual number of neighbours to keep close, and the most that few photographs allow.
PERPLEXITY = 30
# Fewer than this have no neighbourhoods to show.
LEAST = 8


def positions(embeddings: np.ndarray) -> np.ndarray:
    """Positions `[count, 2]` in [0, 1] of `[count, features]` embeddings; only distances within a neighbourhood mean something.

    Raises:
      ValueError: fewer than LEAST embeddings.
    """
    count, features = embeddings.shape
    if count < LEAST:
        raise ValueError(f"a map needs at least {LEAST} photographs, got {count}")
    embeddings = embeddings.astype(np.float32)
    # One thread: sums in a fixed order, and so the same map every time.
    with threadpool_limits(1):
        reduced = PCA(min(DIMENSIONS, features, count - 1), svd_solver="full").fit_transform(embeddings)
        placed = TSNE(
            2, init="pca", random_state=0, perplexity=min(PERPLEXITY, (count - 1) / 3), max_iter=500, learning_rate="auto"
        ).fit_transform(reduced)
    placed -= placed.min(axis=0)
    return placed / max(placed.max(), 1e-9) + (1 - placed.max(axis=0) / max(placed.max(), 1e-9)) / 2
