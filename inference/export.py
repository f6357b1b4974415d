"""`export`: a registered version for another runtime, proven equal in that runtime before the file appears.

The reference is the version's own network as `embed` and `predict` use it. The 8-bit form is not equal, and says what it costs.
"""

import contextlib
import importlib.util
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import keras
import numpy as np

import pipeline_config
from components.errors import DataRefused
from components.evaluator.evidence import Pairs, difference, interval
from components.example_gen import photograph
from components.example_gen.photograph import Encoded
from components.synthetic_flowers import scene
from contracts import files, model_files
from inference.embed import BATCH, Backbone, Described, images_of, log_unreadable
from inference.export_formats import FORMATS, ExportRefused, Network, Photograph, Runtime, run_litert, write_int8
from inference.predict import Classifier
from inference.registered import Registered, find
from registry.backend import CHAMPION

# Photographs on which an export is proven, or from which the ranges of 8-bit numbers are taken; and on which those are measured.
PROVEN, MEASURED = 100, 400
# Largest difference that counts as equal, of a number or, where the reference is larger than 1, as a share of it. Runtimes add up
# in other orders, which differs in the last digits of float32; a wrong layer differs by 0.01 and more.
EQUAL = 1e-4
INT8 = "int8"
# The collection of synthetic flowers on which an export is proven without photographs of one's own.
SEED = 11


class ExportDiffers(RuntimeError):
    """What was written does not compute what the version computes; nothing appeared."""


@dataclass(frozen=True)
class Cost:
    """What 8-bit numbers cost, on photographs other than those that their ranges are from.

    photographs: how many. same_class: share of them whose most probable class stays. labelled: of how many the class is known.
    accuracy: difference of the accuracies on those, in [-1, 1], below 0 where the 8-bit form is worse, with its 95 % interval from
    low to high; None if labelled is 0.
    """

    photographs: int
    same_class: float
    labelled: int
    accuracy: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Exported:
    """What was written.

    path: the file or folder. version: of the registered model. reads: what reads it. size: bytes. photographs: on how many it was
    proven. difference: the largest on them, as EQUAL has it. seconds: median for one photograph on this machine. cost: of 8-bit
    numbers; None for all others.
    """

    path: str
    version: str
    reads: str
    size: int
    photographs: int
    difference: float
    seconds: float
    cost: Cost | None = None


def export(
    format: str,
    output: str,
    *,
    root: str = "runs",
    version: str = CHAMPION,
    name: str = pipeline_config.Registry.name,
    registry: str = "",
    unverified: bool = False,
    probe: bool = False,
    photographs: str = "",
    quantize: str = "",
    on_unreadable: Callable[[Described], None] = log_unreadable,
) -> Exported:
    """Writes a version in another format, proves it in that format's runtime, and only then gives it its name.

    Beside it appears PATH.json: what goes in and comes out, the classes, the version and what was measured.

    Args:
      format: a key of FORMATS.
      output: path of a new folder (saved_model), or of a file with the format's ending, which is replaced.
      root, version, name, registry, unverified: as in inference.embed.embed.
      probe: calibrated probabilities of the classes come out instead of the embedding.
      photographs: a source on whose first photographs it is proven; "": synthetic flowers, drawn for the purpose. To quantise it
        must be a source, of photographs like those that the network will see.
      quantize: "" or "int8", for litert alone.
      on_unreadable: called with each image of `photographs` that cannot be used.

    Raises:
      ExportRefused: the format, the name of the file, the packages or the options do not allow it.
      ExportDiffers: an output differs by more than EQUAL.
      RegistryError: there is no such version, it may not be used, or its probe has no calibration.
      SourceNotFound, DataRefused: there are no such photographs, or none that can be used.
    """
    check(format, output, quantize, photographs)
    registered = find(root, version, name, unverified=unverified, registry=registry)
    classifier = None
    if probe or quantize:
        classifier = Classifier(root, registered.version, name, unverified=unverified, registry=registry)
    backbone = classifier.backbone if classifier else Backbone(registered)
    network = _network(backbone, classifier if probe else None)
    images = images_of(photographs, root) if photographs else _drawn(backbone.max_side)
    shown = _usable(backbone, _sample(images, PROVEN + (MEASURED if quantize else 0)), on_unreadable)
    if len(shown) < (least := 2 if quantize else 1):
        raise DataRefused(f"{photographs} has {len(shown)} images that can be used, and it takes {least}; nothing was written")
    proven = shown[: min(PROVEN, (len(shown) + 1) // 2)] if quantize else shown
    one, judge = proven[0].photograph, classifier if probe else None
    with _workplace(output) as path:
        if quantize:
            write_int8(network, path, [each.photograph for each in proven])
            run = run_litert(path)
        else:
            FORMATS[format].write(network, path)
            run = FORMATS[format].run(path)
        found = difference_of(run([each.photograph for each in proven]), _reference(backbone, judge, proven))
        if not quantize and not found <= EQUAL:
            raise ExportDiffers(
                f"{format}: a number differs by {found:.2g} from the version's own, on {len(proven)} photographs; at most {EQUAL:g} "
                "is allowed. Nothing was written; please report it with the version's backbone.json")  # fmt: skip
        cost = _cost(run, backbone, classifier, probe, shown[len(proven) :]) if quantize else None
        done = Exported(output, registered.version, FORMATS[format].reads, _size(path), len(proven), found, _seconds(run, one),
                        cost)  # fmt: skip
    files.write_json(f"{output}.json", _about(done, format, quantize, network, registered, judge))
    return done


def check(format: str, output: str, quantize: str = "", photographs: str = "") -> None:
    """Raises ExportRefused unless an export can be written at `output`."""
    ending = FORMATS[format].ending
    missing = [package for package in FORMATS[format].packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ExportRefused(f"{format} needs the packages {' and '.join(missing)}, which are not installed here: `make setup` "
                            f"installs them, elsewhere `pip install {' '.join(missing)}`")  # fmt: skip
    if not output.endswith(ending):
        raise ExportRefused(f"the name of a file in the format {format} must end in {ending}, got {output!r}")
    if not ending and os.path.exists(output):
        raise ExportRefused(f"{output} is there already, and {format} is a folder: name a new one")
    if ending and os.path.isdir(output):
        raise ExportRefused(f"{output} is a folder; {format} is a file, such as {os.path.join(output, 'champion' + ending)}")
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder):
        raise ExportRefused(f"there is no folder {folder} to write {os.path.basename(output)!r} into; make it first")
    if quantize and format != "litert":
        raise ExportRefused(f"--quantize {quantize} is for litert alone, got {format}")
    if quantize and not photographs:
        raise ExportRefused("--quantize needs --photographs SOURCE: the ranges of the numbers are taken from photographs like "
                            "those that the network will see")  # fmt: skip


@dataclass(frozen=True)
class _Shown:
    photograph: Photograph
    class_name: str


def difference_of(found: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference of two arrays, as a share of the reference where that is larger than 1; NaN counts as infinite."""
    largest = np.max(np.abs(found.astype(np.float64) - reference) / np.maximum(1, np.abs(reference)))
    return float(largest) if np.isfinite(largest) else float("inf")


def _network(backbone: Backbone, classifier: Classifier | None) -> Network:
    if classifier is None:
        return Network(backbone.network, backbone.record, backbone.max_side, model_files.EMBEDDING)
    weights, bias = classifier.linear()
    layer = keras.layers.Dense(len(bias), activation="softmax", name="probe")
    layer.build((None, len(weights)))
    layer.set_weights([weights, bias])
    return Network(backbone.network, backbone.record, backbone.max_side, model_files.PROBABILITIES, [layer],
                   {"classes": "\n".join(classifier.classes)})  # fmt: skip


def _drawn(side: int) -> Iterator[Callable[[], Encoded]]:
    return (lambda index=index: Encoded(f"{index}.jpg", "", "", scene.draw_jpeg(SEED, index, side)) for index in range(PROVEN))


def _sample(images: Iterable[Callable[[], Encoded]], count: int) -> list[Callable[[], Encoded]]:
    """`count` of the images at random, or all if there are fewer: the first of a folder are often of one class.

    Vitter, Random Sampling with a Reservoir (1985), algorithm R; the same images give the same sample.
    """
    random, chosen = np.random.default_rng(0), []
    for position, image in enumerate(images):
        if len(chosen) < count:
            chosen.append(image)
        elif (place := int(random.integers(position + 1))) < count:
            chosen[place] = image
    return [chosen[index] for index in random.permutation(len(chosen))]


def _usable(backbone: Backbone, images: Iterable[Callable[[], Encoded]], on_unreadable: Callable[[Described], None]) -> list[_Shown]:
    """The photographs that can be used; of a folder without labels the innermost folder's name is taken for the class."""
    usable = []
    for read in images:
        encoded = read()
        try:
            if encoded.reason:
                raise photograph.Unusable(encoded.reason, encoded.detail)
            prepared = photograph.prepare(encoded.data, backbone.max_side, pipeline_config.Data.max_pixels)
            class_name = encoded.class_name or os.path.basename(os.path.dirname(encoded.path))
            usable.append(_Shown(Photograph(prepared.jpeg, backbone.view(prepared)), class_name))
        except photograph.Unusable as unusable:
            on_unreadable(Described(encoded.path, reason=unusable.reason, detail=unusable.detail))
    return usable


def _reference(backbone: Backbone, classifier: Classifier | None, shown: Sequence[_Shown]) -> np.ndarray:
    parts = [shown[start : start + BATCH] for start in range(0, len(shown), BATCH)]
    vectors = np.concatenate([backbone.vectors([one.photograph.view for one in part]) for part in parts])
    return classifier.probabilities(vectors) if classifier else vectors


@contextlib.contextmanager
def _workplace(output: str) -> Iterator[str]:
    """A path for what is being written, of the same name in a hidden folder beside `output`, which gets it when the block ends."""
    folder, name = os.path.split(os.path.abspath(output))
    hidden = os.path.join(folder, f".{name}{files.UNFINISHED}")
    shutil.rmtree(hidden, ignore_errors=True)  # left by one that was killed
    os.mkdir(hidden)
    try:
        yield os.path.join(hidden, name)
        os.replace(os.path.join(hidden, name), output)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _cost(run: Runtime, backbone: Backbone, classifier: Classifier, probe: bool, shown: Sequence[_Shown]) -> Cost | None:
    if not shown:
        return None
    outputs = run([one.photograph for one in shown])
    chosen = (outputs if probe else classifier.probabilities(outputs)).argmax(axis=1)
    expected = _reference(backbone, classifier, shown).argmax(axis=1)
    labels = np.array([classifier.classes.index(one.class_name) if one.class_name in classifier.classes else -1 for one in shown])
    known = labels >= 0
    right, right_before = (chosen == labels)[known], (expected == labels)[known]
    same = float(np.mean(chosen == expected))
    if not known.any():
        return Cost(len(shown), same, 0, None, None, None)
    counts = (right & ~right_before, right_before & ~right, right & right_before)
    pairs = [Pairs(*(int(np.sum(one)) for one in counts), len(right))]
    return Cost(len(shown), same, len(right), difference(pairs), *interval(pairs))


def _seconds(run: Runtime, one: Photograph) -> float:
    """The median time of one photograph; the first calls, which prepare, do not count."""
    times = []
    for _ in range(12):
        started = time.perf_counter()
        run([one])
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


def _size(path: str) -> int:
    """Bytes of a file, or of all files in a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _about(
    done: Exported, format: str, quantize: str, network: Network, registered: Registered, classifier: Classifier | None
) -> dict:  # fmt: skip
    side = network.record["photograph_side"]
    serves_files = format == "saved_model"
    takes = ({"name": model_files.IMAGE_BYTES, "shape": ["batch"], "values": "bytes of image files"} if serves_files else
             {"name": model_files.SIGNATURE_PIXELS, "shape": ["batch", side, side, 3],
              "values": "RGB in [0, 1], whole photographs scaled to squares with antialiasing"})  # fmt: skip
    about = {
        "schema_version": 1, "format": format, "quantize": quantize or None, "name": registered.name, "version": registered.version,
        "backbone_content_hash": registered.content_hash, "input": takes,
        "output": {"name": network.output, "shape": ["batch", network.whole.output_shape[-1]]},
        "bytes": done.size, "proven": {"photographs": done.photographs, "largest_difference": done.difference},
        "cost": asdict(done.cost) if done.cost else None, "classes": None, "temperature": None, "threshold": None,
    }  # fmt: skip
    if classifier:
        about |= {"classes": list(classifier.classes), "temperature": classifier.temperature, "threshold": classifier.threshold}
    return about
