"""Label Studio's JSON: writes photographs as tasks to be labelled, and reads the labels out of what it exports.

The format is Label Studio's own, a list of tasks (https://labelstud.io/guide/task_format): `data` says which photograph, each of
`predictions` what a model guesses, and each of `annotations` what one person chose. A guess never becomes a label by itself.
"""

import os
import posixpath
import re
from collections.abc import Sequence
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from components.errors import DataRefused, SourceNotFound
from contracts import files

# Keys of a task's data. Tasks written here have both, so that the path that comes back is the one that went out.
PATH, IMAGE = "path", "image"
# The name of the tag that asks for the class.
LABEL = "label"
# The type of a result that says a class: of the tag <Choices>.
CHOICES = "choices"
# How Label Studio addresses a file that it serves from a folder of its machine, relative to its document root.
LOCAL_FILES = "/data/local-files/"
# A file uploaded in the browser: Label Studio puts eight hexadecimal digits and a hyphen before its name.
UPLOADED = re.compile(r"/data/upload/(?:\d+/)?(?:[0-9a-f]{8}-)?([^/]+)")


def labelling_interface(classes: Sequence[str]) -> str:
    """The labelling interface (XML) that goes with `task`: one choice for each class, sorted as given."""
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in classes)
    return (
        f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}"/>\n'
        f'  <Choices name="{LABEL}" toName="{IMAGE}" choice="single" showInLine="true">\n{choices}  </Choices>\n</View>\n'
    )


def task(source: str, path: str, data: dict, model_version: str, guess: str, probability: float | None) -> dict:
    """One photograph to be labelled.

    Args:
      source: the folder (local or remote) that the photograph is in. Label Studio serves files below its document root, which must
        be the folder that contains a local `source`.
      path: of the photograph, relative to the source.
      data: what else a person may want to see or sort by, JSON.
      model_version: who guesses; `guess` is the class, empty for no guess, and `probability` in [0, 1], None if it is not known.

    Raises:
      SourceNotFound: the source is no folder, so that there are no files to show.
    """
    written = {"data": {IMAGE: _address(source, path), PATH: path} | data}
    if guess:
        result = {"from_name": LABEL, "to_name": IMAGE, "type": CHOICES, "value": {CHOICES: [guess]}}
        scored = {} if probability is None else {"score": probability}
        written["predictions"] = [{"model_version": model_version, "result": [result]} | scored]
    return written


def _address(source: str, path: str) -> str:
    """Where Label Studio finds the photograph."""
    if "://" in source:  # a bucket, which Label Studio reads through a cloud storage of its own
        return f"{source.rstrip('/')}/{path}"
    folder = os.path.realpath(os.path.expanduser(source))
    if os.path.isfile(folder):
        return f"{LOCAL_FILES}?d={quote(os.path.basename(folder))}"
    if not os.path.isdir(folder):
        raise SourceNotFound(f"Label Studio shows files, and {source!r} is no folder of files; write a CSV file instead")
    return f"{LOCAL_FILES}?d={quote(os.path.basename(folder) + '/' + path)}"


def read_labels(path: str) -> list[tuple[str, str]]:
    """(path of the photograph, class) for every task that a person has labelled, in the order of the file.

    Tasks without an annotation, or with cancelled (skipped) or empty ones only, have no label. Where several people labelled one
    photograph, an annotation marked as ground truth decides; otherwise they must agree.

    Args:
      path: the export, local or remote: `Export` and then `JSON` in Label Studio.

    Returns:
      Each photograph's path: `data.path` as `task` wrote it; otherwise from `data.image`, which is a path below Label
      Studio's document root, the name of an uploaded file, or the address as it is.

    Raises:
      SourceNotFound: there is no such file.
      DataRefused: it is not such an export, or a task names no photograph, has two classes, or people who disagree about it.
    """
    try:
        tasks = files.read_json(path)
    except FileNotFoundError as error:
        raise SourceNotFound(f"there is no labels file {path!r}") from error
    except (ValueError, RecursionError) as error:  # too deep to be one
        raise DataRefused(f"{path} is not JSON ({error}); export it from Label Studio as JSON") from error
    if not isinstance(tasks, list):
        raise DataRefused(f"{path} must be a list of tasks, got {type(tasks).__name__}; export it from Label Studio as JSON")
    labelled = []
    for number, task in enumerate(tasks, start=1):
        try:
            label = _label(task)
            if label is not None:
                labelled.append((_photograph(task["data"]), label))
        except _Mistake as mistake:
            raise DataRefused(f"{path}: task {number}{_id(task)}: {mistake}") from mistake
    return labelled


class _Mistake(ValueError):
    """What is wrong with a task."""


def _id(task: object) -> str:
    return f" (id {task['id']})" if isinstance(task, dict) and isinstance(task.get("id"), int) else ""


def _label(task: object) -> str | None:
    """The class of a task; None if nobody has labelled it."""
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise _Mistake("a task must have `data`; export as JSON, not as JSON-MIN or CSV")
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise _Mistake("`annotations` must be a list of annotations; export as JSON with all of them")
    finished = [one for one in annotations if not one.get("was_cancelled")]
    decisive = [one for one in finished if one.get("ground_truth")] or finished
    said = {label for label in map(_choice, decisive) if label is not None}
    if len(said) > 1:
        names = " and ".join(map(repr, sorted(said)))
        raise _Mistake(f"its annotations disagree, {names}; mark one as ground truth, or delete the others")
    return said.pop() if said else None


def _choice(annotation: dict) -> str | None:
    """The one class that an annotation chose; None if it is empty."""
    results = annotation.get("result", [])
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        raise _Mistake("`result` of an annotation must be a list of results")
    chosen = [one for result in results if result.get("type") == CHOICES for one in _choices(result.get("value"))]
    if len(chosen) > 1:
        raise _Mistake(f'it has {len(chosen)} classes, {", ".join(map(repr, chosen))}; a photograph has one: use choice="single"')
    return chosen[0] if chosen else None


def _choices(value: object) -> list[str]:
    chosen = value.get(CHOICES) if isinstance(value, dict) else None
    if not isinstance(chosen, list) or not all(isinstance(one, str) and one.strip() for one in chosen):
        raise _Mistake(f"`value.choices` must be a list of names, got {chosen!r}")
    return [one.strip() for one in chosen]


def _photograph(data: dict) -> str:
    """The path of a task's photograph."""
    if isinstance(data.get(PATH), str) and data[PATH]:
        return data[PATH]
    image = data.get(IMAGE)
    if not isinstance(image, str) or not image:
        raise _Mistake(f"`data` has neither {PATH!r} nor {IMAGE!r}, only {', '.join(map(repr, sorted(data))) or 'nothing'}")
    address = urlsplit(image)
    if address.path == LOCAL_FILES and (below := parse_qs(address.query).get("d")):
        return posixpath.normpath(below[0]).lstrip("/")
    if uploaded := UPLOADED.fullmatch(address.path):
        return unquote(uploaded[1])
    return image
