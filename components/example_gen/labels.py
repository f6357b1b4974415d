"""A labels file: which photograph of a source shows which class, as CSV (`path,label` and optionally `split`) or as JSON.

JSON is an export of Label Studio, see `label_studio`. Paths are relative to the source. What the file does not name, or names
without a label, is unlabelled.
"""

import csv
import io
from dataclasses import dataclass

import tensorflow as tf

from components.errors import DataRefused, SourceNotFound
from components.example_gen import label_studio, names
from contracts import files
from contracts.text import visible

PATH, LABEL, SPLIT = "path", "label", "split"
COLUMNS = (PATH, LABEL, SPLIT)
# A row has some hundred bytes, so this is room for a million photographs; more would exhaust a small machine.
MAX_BYTES = 1 << 28


@dataclass(frozen=True)
class Row:
    """One photograph of a labels file: `path` relative to the source, `label` its class, `split` train, eval or ""."""

    path: str
    label: str
    split: str = ""


def read_labels(location: str) -> dict[str, Row]:
    """The labelled rows by path, in the order of the file.

    Args:
      location: of the labels file, local or remote; JSON if its name ends in `.json`, else CSV.

    Raises:
      SourceNotFound: there is no such file.
      DataRefused: it is not what its ending says, has an unknown or a missing column, a row without a path, a path twice, an
        unknown split, or splits for only some of the labelled photographs. The message names row and column.
    """
    rows = _from_json(location) if location.lower().endswith(".json") else _from_csv(location, _read(location))
    by_path: dict[str, Row] = {}
    first_at: dict[str, int] = {}
    for number, row in rows:
        if row.path in first_at:
            raise _refused(location, number, PATH, f"{visible(row.path)!r} was named in row {first_at[row.path]} already; "
                                                   "keep one of the two rows")  # fmt: skip
        first_at[row.path] = number
        if row.label:
            by_path[row.path] = row
    divided = [row.path for row in by_path.values() if row.split]
    if divided and len(divided) != len(by_path):
        path = next(row.path for row in by_path.values() if not row.split)
        raise _refused(location, first_at[path], SPLIT,
                       "is empty, but other labelled rows have a split; fill in all of them or none")  # fmt: skip
    return by_path


def _read(location: str) -> str:
    try:
        if tf.io.gfile.stat(location).length > MAX_BYTES:
            raise DataRefused(f"data.labels: {visible(location)} has more than {MAX_BYTES >> 20} MiB, which is the most that is read")
        with files.opened(location) as file:
            return file.read().decode("utf-8-sig")
    except (OSError, tf.errors.OpError) as error:
        raise SourceNotFound(f"data.labels: {visible(location)} cannot be read ({type(error).__name__})") from error
    except UnicodeDecodeError as error:
        raise DataRefused(f"data.labels: {visible(location)} must be UTF-8 text, byte {error.start} is not; save it as UTF-8") from error


def _from_csv(location: str, text: str) -> list[tuple[int, Row]]:
    # Spreadsheets of some countries separate by semicolons.
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        for name in header:
            if name not in COLUMNS:
                raise _refused(location, 1, name, f"is unknown; the columns are {PATH}, {LABEL} and optionally {SPLIT}")
            if header.count(name) > 1:
                raise _refused(location, 1, name, "is there twice")
        for name in (PATH, LABEL):
            if name not in header:
                raise _refused(location, 1, name, f"is missing; the first row must be {PATH},{LABEL} and optionally {SPLIT}")
        found = []
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((reader.line_num, _row(location, reader.line_num, header, cells)))
        return found
    except csv.Error as error:
        raise _refused(location, reader.line_num, "", f"is not CSV ({error})") from error


def _row(location: str, number: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise _refused(location, number, "", f"has {len(cells)} columns, the first row has {len(header)}; "
                                             "put a path that contains the separator in quotation marks")  # fmt: skip
    values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    called = values.get(SPLIT, "")
    split = names.split_of(called)
    if called and not split:
        raise _refused(location, number, SPLIT, f"must be train, eval (or val, test) or empty, got {visible(called)!r}")
    return Row(_path(location, number, values[PATH]), names.class_called(values[LABEL]), split)


def _path(location: str, number: int, path: str) -> str:
    if not path:
        raise _refused(location, number, PATH, "is empty; each row names a photograph")
    return path.replace("\\", "/").removeprefix("./")


def _from_json(location: str) -> list[tuple[int, Row]]:
    rows = label_studio.read_labels(location)
    return [(number, Row(_path(location, number, path), names.class_called(label))) for number, (path, label) in enumerate(rows, 1)]


def _refused(location: str, row: int, column: str, problem: str) -> DataRefused:
    where = f"row {row}" + (f", column {visible(column)!r}" if column else "")
    return DataRefused(f"data.labels: {visible(location)}, {where} {problem}")
