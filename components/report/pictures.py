"""The page's pictures: training curves, mistakes, neighbours, a map of the embedding, and views.

Records are read one after another and only the wanted photographs are kept, so that memory does not grow with the data set. The
map is t-SNE in two dimensions, and deterministic.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from components.report import charts
from components.report.artifacts import Artifacts
from contracts import examples
from contracts.text import percent

JPEG_QUALITY = 80


@dataclass(frozen=True)
class Photograph:
    """One record: `jpeg` as ExampleGen wrote it, the class, and the file's path relative to the source."""

    jpeg: bytes
    class_name: str
    path: str


def read_photographs(pattern: str, positions: Iterable[int]) -> dict[int, Photograph]:
    """The records at `positions` of the files that match `pattern`, counted from 0, file by file in the order of their names."""
    wanted = {int(position) for position in positions}
    if not wanted:
        return {}
    records = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(pattern)), compression_type="GZIP")
    found = {}
    for position, serialized in records.take(max(wanted) + 1).enumerate().as_numpy_iterator():
        if position in wanted:
            found[int(position)] = _photograph(serialized)
    return found


def _photograph(serialized: bytes) -> Photograph:
    features = tf.train.Example.FromString(serialized).features.feature

    def value(name: str) -> bytes:
        return features[name].bytes_list.value[0]

    return Photograph(
        jpeg=value(examples.IMAGE),
        class_name=value(examples.CLASS_NAME).decode("utf-8", "replace"),
        path=value(examples.SOURCE_PATH).decode("utf-8", "replace"),
    )


def square(photograph: Photograph, side: int) -> Image.Image:
    """The photograph's centre as a square of `side` pixels."""
    with Image.open(io.BytesIO(photograph.jpeg), formats=["JPEG"]) as image:
        image.draft("RGB", (2 * side, 2 * side))
        image = image.convert("RGB")
    shorter = min(image.size)
    left, top = (image.width - shorter) // 2, (image.height - shorter) // 2
    return image.resize((side, side), Image.Resampling.LANCZOS, box=(left, top, left + shorter, top + shorter))


def thumbnail(photograph: Photograph, side: int) -> str:
    """`square` as a data URI."""
    return data_uri(square(photograph, side))


def sprite(photographs: Sequence[Photograph], side: int) -> tuple[str, int]:
    """One picture of many squares, row by row, as a data URI, and the number of squares in a row."""
    columns = int(np.ceil(np.sqrt(len(photographs))))
    sheet = Image.new("RGB", (columns * side, -(-len(photographs) // columns) * side))
    for index, photograph in enumerate(photographs):
        sheet.paste(square(photograph, side), (index % columns * side, index // columns * side))
    return data_uri(sheet, quality=70), columns


def from_array(pixels: np.ndarray, aspect: float = 1.0, side: int = 0) -> str:
    """Pixels `[height, width, 3]` uint8 as a data URI; with `side`, scaled to width / height = `aspect` and that longer side."""
    image = Image.fromarray(pixels)
    if side:
        size = (side, max(1, round(side / aspect))) if aspect >= 1 else (max(1, round(side * aspect)), side)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return data_uri(image)


def data_uri(image: Image.Image, quality: int = JPEG_QUALITY) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


# Photographs on the map: more would hide each other, and t-SNE takes seconds for each further thousand.
SHOWN = 600
# t-SNE's authors reduce to 30 dimensions first (van der Maaten and Hinton, JMLR 9, 2008, section 4.2).
DIMENSIONS = 30
# t-SNE's usual number of effective neighbours; with few photographs a third of them.
PERPLEXITY = 30
# Fewer photographs have no neighbourhoods to show.
LEAST = 8


def positions(embeddings: np.ndarray) -> np.ndarray:
    """Positions `[count, 2]` in [0, 1] of `[count, features]` embeddings; only short distances have a meaning.

    Raises:
      ValueError: fewer than LEAST embeddings.
    """
    count, features = embeddings.shape
    if count < LEAST:
        raise ValueError(f"a map needs at least {LEAST} photographs, got {count}")
    embeddings = embeddings.astype(np.float32)
    # One thread: sums in a fixed order give the same map every time.
    with threadpool_limits(1):
        reduced = PCA(min(DIMENSIONS, features, count - 1), svd_solver="full").fit_transform(embeddings)
        placed = TSNE(
            2, init="pca", random_state=0, perplexity=min(PERPLEXITY, (count - 1) / 3), max_iter=500, learning_rate="auto"
        ).fit_transform(reduced)
    placed -= placed.min(axis=0)
    return placed / max(placed.max(), 1e-9) + (1 - placed.max(axis=0) / max(placed.max(), 1e-9)) / 2


MISTAKES = 15
# Sides of thumbnails in pixels: in the galleries (shown smaller, for sharp screens) and on the map.
GALLERY_SIDE = 160
MAP_SIDE = 48

CURVES = (
    # Figure of pretrain.json's history, title, note, how it is written.
    ("loss", "Loss", "−1 is perfect agreement of a photograph's views", "{:.3f}".format),
    ("output_std_ratio", "Output std ratio", "about 1 is healthy, 0 is collapse", "{:.2f}".format),
    ("effective_rank", "Effective rank", "dimensions that the output uses", "{:.1f}".format),
    ("knn_train_top1", "kNN accuracy on train", "a monitor; labels are used for nothing else", percent),
    ("learning_rate", "Learning rate", "of backbone and projector; the number is its maximum", "{:.3f}".format),
    ("images_per_second", "Images a second", "source photographs, each with all its views", "{:.0f}".format),
)


def curves(found: Artifacts) -> list[dict]:
    """A `chart` for each figure that pre-training monitors, with `title`, `note` and the `last` value as text."""
    history = found.pretrain["history"]
    epochs = [entry["epoch"] for entry in history]
    limits = {}
    if found.configuration:
        limits = {"output_std_ratio": found.configuration["pretrain"]["min_output_std_ratio"],
                  "effective_rank": found.configuration["pretrain"]["min_effective_rank"]}  # fmt: skip
    drawn = []
    for key, title, note, written in CURVES:
        values = [entry[key] for entry in history]
        known = [value for value in values if value is not None]
        if not known:
            continue
        limit = limits.get(key)
        described = f"{title} over {len(epochs)} epochs, from {written(known[0])} to {written(known[-1])}"
        drawn.append({
            "title": title, "note": note + (f"; below {limit:g} ends the run" if limit is not None else ""),
            "last": written(max(known) if key == "learning_rate" else known[-1]).replace("-", "−"),
            "chart": charts.curve(epochs, values, described, limit, shares=written is percent)})  # fmt: skip
    return drawn


def mistakes(found: Artifacts) -> dict:
    """`shown`: the wrong predictions with the highest confidence; `wrong`: how many wrong ones there are, `of` all."""
    arrays = found.predictions
    wrong = np.flatnonzero(arrays["label"] != arrays["predicted"])
    surest = wrong[np.argsort(-arrays["confidence"][wrong], kind="stable")][:MISTAKES]
    photographs = read_photographs(found.records["eval"], surest)
    classes = found.probe["classes"]
    return {"wrong": len(wrong), "of": len(arrays["label"]), "shown": [
        _card(photographs[position]) | {"predicted": classes[arrays["predicted"][position]],
                                        "confidence": float(arrays["confidence"][position])}
        for position in surest.tolist()]}  # fmt: skip


def neighbours(found: Artifacts) -> list[dict]:
    """A `query` of the eval split and the `nearest` photographs of train, each with its `similarity`."""
    arrays = found.predictions
    asked = read_photographs(found.records["eval"], arrays["query"])
    bank = read_photographs(found.records["train"], arrays["neighbour"].ravel())
    return [
        {"query": _card(asked[query]),
         "nearest": [_card(bank[position]) | {"similarity": similarity} for position, similarity in zip(row, similarities)]}
        for query, row, similarities in zip(arrays["query"].tolist(), arrays["neighbour"].tolist(), arrays["similarity"].tolist())
    ]  # fmt: skip


def _card(photograph: Photograph) -> dict:
    return {"image": thumbnail(photograph, GALLERY_SIDE), "class": photograph.class_name, "path": photograph.path}


def eval_map(found: Artifacts) -> dict | None:
    """The map of a random sample of eval: `points`, and the `sprite` with their thumbnails; None for too few photographs."""
    arrays = found.predictions
    embeddings = arrays["embedding"][:SHOWN]
    if len(embeddings) < LEAST:
        return None
    photographs = read_photographs(found.records["eval"], range(len(embeddings)))
    image, columns = sprite([photographs[position] for position in range(len(embeddings))], MAP_SIDE)
    places = positions(embeddings)
    return {
        "sprite": image, "columns": columns, "side": MAP_SIDE, "classes": found.probe["classes"], "of": len(arrays["label"]),
        "points": [
            {"x": round(float(x), 4), "y": round(float(y), 4), "label": int(arrays["label"][position]),
             "predicted": int(arrays["predicted"][position]), "path": photographs[position].path}
            for position, (x, y) in enumerate(places)],
    }  # fmt: skip


def views(found: Artifacts) -> list[dict]:
    """Each shown `photograph` with its first `views`."""
    arrays = found.views
    return [
        {"photograph": from_array(arrays["photographs"][index], float(aspect), GALLERY_SIDE),
         "views": [from_array(view[index]) for view in arrays["views"]]}
        for index, aspect in enumerate(arrays["aspects"])
    ]  # fmt: skip
