"""How alike any two photographs of an index are: prints cosines of random pairs, from the origin and from the mean of the index.

    flowers embed FOLDER -o photographs.parquet
    python benchmarks/similarities.py photographs.parquet

The second line is what `flowers search` prints for photographs that have nothing in common; the third is the nearest other one.
"""

import argparse

import numpy as np

from inference.index import open_index

PAIRS = 100_000
# Photographs whose nearest one is looked for among all others.
QUERIES = 200


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", help="what `flowers embed` wrote")
    opened = open_index(parser.parse_args().index).in_memory()
    vectors = opened.vectors(np.arange(opened.count))
    random = np.random.default_rng(0)
    first, second = random.integers(0, opened.count, (2, PAIRS))
    first, second = first[first != second], second[first != second]
    print(f"{opened.count:,} photographs, version {opened.header.version} of {opened.header.name}, "
          f"{opened.header.embedding_size:,} numbers each")  # fmt: skip
    print("                               mean      5 %   median     95 %")
    for name, mean in (("random pairs, from the origin", 0 * opened.mean), ("random pairs, from the mean", opened.mean)):
        directions = _directions(vectors - mean)
        _print(name, np.einsum("ij,ij->i", directions[first], directions[second]))
    asked = random.choice(opened.count, min(QUERIES, opened.count), replace=False)
    similarity = directions[asked] @ directions.T
    similarity[np.arange(len(asked)), asked] = -1
    _print("nearest other, from the mean", similarity.max(axis=1))


def _directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _print(name: str, cosines: np.ndarray) -> None:
    shares = np.quantile(cosines, (0.05, 0.5, 0.95))
    print(f"{name:<29}  {cosines.mean():6.3f}  " + "  ".join(f"{value:7.3f}" for value in shares))


if __name__ == "__main__":
    main()
