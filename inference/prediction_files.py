"""Predictions as files: CSV, Parquet or Label Studio's tasks, by the ending of the name, and a contact sheet of each class.

A file is written while photographs are read, and appears complete or not at all. Names of photographs and classes are untrusted:
in CSV they are kept from being a spreadsheet's formula; the other two formats hold them as they are.
"""

import collections
import contextlib
import csv
import heapq
import io
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

import pipeline_config
from components.errors import DataRefused
from components.example_gen import label_studio
from contracts import files
from contracts.text import cell, percent, visible
from inference import contact_sheet
from inference.contact_sheet import Sheet
from inference.embed import Described, absolute, counts, images_of, log_unreadable
from inference.index import HEADER
from inference.predict import Classifier, Prediction, predicted_batches
from registry.backend import CHAMPION

CSV, PARQUET, JSON = ".csv", ".parquet", ".json"
COLUMNS = ("path", "content_hash", "label", "probability", "second_label", "unsure")
# Digits after the point of a probability in text: the network computes about seven.
DIGITS = 6
# Rows of a row group in Parquet: some 10 MB of paths and hashes.
GROUP = 65_536
# Pictures on a page in all, about 6 MB, and of one class.
PICTURES, PICTURES_OF_A_CLASS = 600, 60


class PredictionsRefused(ValueError):
    """Predictions cannot be written as asked; the message says what to do."""


def check_name(output: str, source: str) -> None:
    """Raises PredictionsRefused unless predictions for `source` can be written at `output`."""
    if os.path.isdir(output):
        inside = os.path.join(output, "predictions.csv")
        raise PredictionsRefused(f"{output} is a folder; predictions are a file, such as {inside}")
    if not output.endswith((CSV, PARQUET, JSON)):
        raise PredictionsRefused(f"the name of a file of predictions must end in .csv, .parquet or .json, got {output!r}")
    folder = os.path.dirname(os.path.abspath(output))
    if "://" not in output and not os.path.isdir(folder):
        raise PredictionsRefused(f"there is no folder {folder} to write {os.path.basename(output)!r} into; make it first")
    if output.endswith(JSON):
        label_studio.task(source, "", {}, "", "", None)  # raises SourceNotFound for a source without files


Add = Callable[[Sequence[Prediction]], None]


@contextlib.contextmanager
def _csv(file: IO[bytes], source: str, classifier: Classifier) -> Iterator[Add]:
    del source, classifier
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    # All text is quoted: where a spreadsheet divides rows at semicolons, none in a name begins a cell.
    rows = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    rows.writerow(COLUMNS)
    yield lambda predictions: rows.writerows(
        (cell(one.path), one.content_hash, cell(one.label), round(one.probability, DIGITS), cell(one.second_label),
         "true" if one.unsure else "false")
        for one in predictions)  # fmt: skip
    text.detach()


@contextlib.contextmanager
def _parquet(file: IO[bytes], source: str, classifier: Classifier) -> Iterator[Add]:
    made_by = {
        "schema_version": 1, "name": classifier.name, "version": classifier.version, "source": absolute(source),
        "backbone_content_hash": classifier.backbone_content_hash, "probe_content_hash": classifier.probe_content_hash,
        "classes": classifier.classes, "temperature": classifier.temperature, "threshold": classifier.threshold}  # fmt: skip
    types = (pa.string(), pa.string(), pa.string(), pa.float32(), pa.string(), pa.bool_())
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in zip(COLUMNS, types, strict=True)],
                       metadata={HEADER: json.dumps(made_by)})  # fmt: skip
    waiting: list[Prediction] = []

    def write() -> None:
        table.write_table(pa.table([pa.array([getattr(one, name) for one in waiting], kind) for name, kind in zip(COLUMNS, types)],
                                   schema=schema))  # fmt: skip
        waiting.clear()

    def add(predictions: Sequence[Prediction]) -> None:
        waiting.extend(predictions)
        if len(waiting) >= GROUP:
            write()

    with pq.ParquetWriter(file, schema, compression="zstd") as table:
        yield add
        write()


@contextlib.contextmanager
def _label_studio(file: IO[bytes], source: str, classifier: Classifier) -> Iterator[Add]:
    separators = itertools.chain(["[\n"], itertools.repeat(",\n"))
    model_version = f"{classifier.name} {classifier.version}"

    def add(predictions: Sequence[Prediction]) -> None:
        for one in predictions:
            shown = {"content_hash": one.content_hash, "second_label": one.second_label, "unsure": one.unsure}
            task = label_studio.task(source, one.path, shown, model_version, one.label, round(one.probability, DIGITS))
            file.write(f"{next(separators)}{json.dumps(task, ensure_ascii=False)}".encode())

    yield add
    file.write(b"\n]\n")


WRITERS = {CSV: _csv, PARQUET: _parquet, JSON: _label_studio}


@dataclass
class _Class:
    """One class while photographs are read: how many, how many of them unsure, and the least probable ones."""

    images: int = 0
    unsure: int = 0
    least: list[tuple[float, int, Prediction]] = field(default_factory=list)  # a heap with the most probable on top

    def add(self, prediction: Prediction, keep: int, number: int) -> None:
        self.images += 1
        self.unsure += prediction.unsure
        if keep:
            entry = (-prediction.probability, -number, prediction)
            (heapq.heappush if len(self.least) < keep else heapq.heappushpop)(self.least, entry)


@dataclass(frozen=True)
class Written:
    """The result of `write_predictions`.

    images: how many were predicted. by_class: images and unsure ones of each class that was predicted, the most frequent first.
    unreadable: how many were left out, by reason. seconds: from the first file to the last. version: that predicted.
    temperature, threshold: of the classifier, see there. calibration: as in run.json. interface: Label Studio's labelling interface,
    written beside its tasks; None for other formats.
    """

    images: int
    by_class: dict[str, tuple[int, int]]
    unreadable: dict[str, int]
    seconds: float
    version: str
    temperature: float | None
    threshold: float | None
    calibration: dict
    interface: str | None

    @property
    def unsure(self) -> int:
        """How many predictions are unsure."""
        return sum(unsure for _, unsure in self.by_class.values())


def write_predictions(
    source: str,
    output: str,
    *,
    page: str | None = None,
    root: str = "runs",
    version: str = CHAMPION,
    name: str = pipeline_config.Registry.name,
    registry: str = "",
    unverified: bool = False,
    threshold: float | None = None,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    on_unreadable: Callable[[Described], None] = log_unreadable,
    on_progress: Callable[[int], None] | None = None,
) -> Written:
    """Writes what each photograph of a source shows, in constant memory. Images that cannot be used are left out.

    Args:
      source, root, version, name, registry, threshold, unverified, exclude, follow_links, on_unreadable: as in inference.predict.
      output: FILE.csv, FILE.parquet or FILE.json; replaced if it exists, once the new one is complete. Beside FILE.json, which
        holds Label Studio's tasks, FILE.xml is the labelling interface that goes with them.
      page: an HTML file for the contact sheet, if one is wanted: of each class the least probable photographs, the unsure first.
      on_progress: called with the number of images predicted so far, after each batch.

    Raises:
      PredictionsRefused: nothing can be written at `output`.
      RegistryError, ConfigurationError, SourceNotFound: as inference.predict; also SourceNotFound where Label Studio could show no
        files.
      DataRefused: no image of the source can be used.
    """
    check_name(output, source)
    images = images_of(source, root, exclude, follow_links)
    classifier = Classifier(root, version, name, threshold, unverified, registry)
    keep = max(1, min(PICTURES_OF_A_CLASS, PICTURES // len(classifier.classes))) if page else 0
    by_class, unreadable = collections.defaultdict(_Class), collections.Counter()
    done, started = 0, time.perf_counter()
    # The folder is listed before the output, which may lie in it, is begun.
    images = itertools.chain(list(itertools.islice(images, 1)), images)
    writer = WRITERS[os.path.splitext(output)[1]]
    with files.written(output) as file, writer(file, source, classifier) as add:
        for predictions, unusable in predicted_batches(classifier, images):
            add(predictions)
            for number, one in enumerate(predictions, start=done):
                by_class[one.label].add(one, keep, number)
            done += len(predictions)
            for left_out in unusable:
                unreadable[left_out.reason] += 1
                on_unreadable(left_out)
            if on_progress:
                on_progress(done)
        if not done:
            raise DataRefused(f"{source} has no image that can be used ({counts(unreadable)}); nothing was written")
    seconds = time.perf_counter() - started
    interface = None
    if output.endswith(JSON):
        interface = f"{output.removesuffix(JSON)}.xml"
        files.write_text(interface, label_studio.labelling_interface(classifier.classes))
    ordered = dict(sorted(by_class.items(), key=lambda item: (-item[1].images, item[0])))
    written = Written(
        done, {label: (found.images, found.unsure) for label, found in ordered.items()}, dict(unreadable), seconds,
        classifier.version, classifier.temperature, classifier.threshold, classifier.calibration, interface)  # fmt: skip
    if page:
        _write_page(page, source, follow_links, root, classifier, ordered)
    return written


def _write_page(page: str, source: str, follow_links: bool, root: str, classifier: Classifier, by_class: dict[str, _Class]) -> None:
    least = {label: [entry[2] for entry in sorted(found.least, reverse=True)] for label, found in by_class.items()}
    wanted = {one.path: one.content_hash for found in least.values() for one in found}
    shown = contact_sheet.pictures(source, wanted, root, follow_links)
    sheets = [
        Sheet(
            visible(label), _note(found, len(least[label])),
            [(shown[one.path], f"{percent(one.probability, 0)}{', unsure' if one.unsure else ''}") for one in least[label]])
        for label, found in by_class.items()]  # fmt: skip
    sure = "no prediction counts as sure" if classifier.threshold is None else f"unsure: below {percent(classifier.threshold)}"
    introduction = f"By {classifier.name} version {classifier.version}, of {visible(source)}; {sure}"
    contact_sheet.write_page(page, "Predicted classes", introduction, sheets)


def _note(found: _Class, shown: int) -> str:
    least = "" if shown == found.images else f", the {shown:,} least probable are shown"
    return f"{found.images:,} photographs, {found.unsure:,} unsure{least}"
