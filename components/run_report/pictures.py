"""Single photographs out of the records, as thumbnails that stand inside the page. Called by `figures`.

Records are read one after another and only the wanted ones are kept, so that memory does not grow with the data set.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from contracts import examples

JPEG_QUALITY = 80


@dataclass(frozen=True)
class Photograph:
    """One record: `jpeg` as ExampleGen wrote it, the class, and the file's path relative to the source."""

    jpeg: bytes
    class_name: str
    path: str


def read_photographs(pattern: str, positions: Iterable[int]) -> dict[int, Photograph]:
    """The records at `positions` of the files that `pattern` matches, counted from 0, file by file in order of their names."""
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
    """One picture of many squares, row by row, as a data URI, and how many stand in a row."""
    columns = int(np.ceil(np.sqrt(len(photographs))))
    sheet = Image.new("RGB", (columns * side, -(-len(photographs) // columns) * side))
    for index, photograph in enumerate(photographs):
        sheet.paste(square(photograph, side), (index % columns * side, index // columns * side))
    return data_uri(sheet, quality=70), columns


def from_array(pixels: np.ndarray, aspect: float = 1.0, side: int = 0) -> str:
    """Pixels `[height, width, 3]` uint8 as a data URI; with `side` scaled so that they are width / height = `aspect` again."""
    image = Image.fromarray(pixels)
    if side:
        size = (side, max(1, round(side / aspect))) if aspect >= 1 else (max(1, round(side * aspect)), side)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return data_uri(image)


def data_uri(image: Image.Image, quality: int = JPEG_QUALITY) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
