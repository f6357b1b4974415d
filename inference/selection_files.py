"""What `select` chose, as files: CSV or Label Studio's tasks, a contact sheet, and copies to be dragged into class folders.

Files appear whole or not at all. Names of photographs and classes are untrusted: they are escaped where they are shown, and no copy
leaves the folder or replaces a file.
"""

import contextlib
import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from components.example_gen import label_studio, listing, photograph
from components.example_gen.photograph import Encoded
from components.example_gen.source import every_image
from contracts import files
from contracts.layout import Layout
from contracts.text import cell, visible
from inference import contact_sheet
from inference.contact_sheet import Sheet
from inference.select import LIMIT, Selected, Selection, SelectionRefused, is_data_set

CSV, JSON = ".csv", ".json"
COLUMNS = ("path", "content_hash", "reason", "score", "guess", "probability")
# Digits after the point of a score or probability in text: the network computes about seven.
DIGITS = 6
# Where copies wait to be dragged into the folder of their class; as in a source, what stays there has no label.
WAITING = "unlabelled"
# Characters of a photograph's own name that its copy keeps: up to 160 bytes, where file systems take 255.
KEPT = 40


def check(output: str, sources: Sequence[str], page: str | None, copy_to: str | None) -> None:
    """Returns if a selection from `sources` can be written.

    Raises:
      SelectionRefused: a name has another ending, or there is no folder for it.
      SourceNotFound: Label Studio could show no files, as a source is no folder.
    """
    if not output.endswith((CSV, JSON)) and not os.path.isdir(output):
        raise SelectionRefused(f"the name of a selection must end in .csv, or in .json for Label Studio, got {output!r}")
    for path in filter(None, (output, page)):
        if os.path.isdir(path):
            raise SelectionRefused(f"{path} is a folder; name a file in it, such as {os.path.join(path, 'next.csv')}")
        place = os.path.dirname(os.path.abspath(path))
        if "://" not in path and not os.path.isdir(place):
            raise SelectionRefused(f"there is no folder {place} to write {os.path.basename(path)!r} into; make it first")
    if copy_to is not None and os.path.lexists(copy_to) and not os.path.isdir(copy_to):
        raise SelectionRefused(f"--copy-to must be a folder, or a new name, got the file {copy_to!r}")
    for source in sources if output.endswith(JSON) else ():
        label_studio.task(source, "", {}, "", "", None)


def write(selection: Selection, output: str) -> str | None:
    """Writes FILE.csv or FILE.json.

    Returns:
      The labelling interface beside the tasks, FILE.xml; None for CSV, and while no class is known.
    """
    if output.endswith(CSV):
        files.write_text(output, _csv(selection.photographs))
        return None
    maker = f"{selection.backbone.name} {selection.backbone.version}"
    tasks = []
    for one in selection.photographs:
        shown = {"content_hash": one.content_hash, "reason": one.reason, "score": round(one.score, DIGITS)}
        probability = None if one.probability is None else round(one.probability, DIGITS)
        tasks.append(label_studio.task(one.source, one.path, shown, maker, one.guess, probability))
    files.write_json(output, tasks)
    if not selection.classes:
        return None
    interface = os.path.splitext(output)[0] + ".xml"
    files.write_text(interface, label_studio.labelling_interface(selection.classes))
    return interface


def _csv(photographs: Sequence[Selected]) -> str:
    text = io.StringIO(newline="")
    rows = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    rows.writerow(COLUMNS)
    for one in photographs:
        probability = "" if one.probability is None else round(one.probability, DIGITS)
        rows.writerow((cell(one.path), one.content_hash, cell(one.reason), round(one.score, DIGITS), cell(one.guess), probability))
    return text.getvalue()


def write_page(selection: Selection, page: str, root: str) -> None:
    """Writes the photographs in their order as one self-contained HTML page; `root` as in `select`."""
    shown = {one.content_hash: contact_sheet.picture(encoded) for one, encoded in _read(selection, root)}
    gone = contact_sheet.Picture("", "", "not in the source any more")
    pictures = [
        (replace(shown[one.content_hash], note=visible(one.reason)) if one.content_hash in shown else gone, f"{rank}.")
        for rank, one in enumerate(selection.photographs, start=1)
    ]
    about = f"{len(pictures):,} of {selection.unlabelled:,} photographs without a label; {selection.labelled:,} have one"
    of = " and ".join(visible(source) for source in sorted({one.source for one in selection.photographs}))
    by = f"By {selection.backbone.name} {selection.backbone.version}, of {of}"
    contact_sheet.write_page(page, "Photographs to label next", by, [Sheet("In this order", about, pictures)])


def copy(selection: Selection, target: str, root: str) -> tuple[int, int]:
    """Copies the photographs into TARGET/unlabelled, beside an empty folder for each class, so that TARGET is itself a source.

    A copy is called after its photograph and its content. One that is in TARGET already, also in a class folder, stays as it is.

    Returns:
      How many were copied, and how many were not: there already, or gone from the source.

    Raises:
      OSError: the folder cannot be written, or `unlabelled` in it is a link.
    """
    os.makedirs(target, exist_ok=True)
    with contextlib.ExitStack() as opened:
        top = _opened(opened, target)
        for name in (WAITING, *filter(_is_name, selection.classes)):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=top)
        waiting = _opened(opened, WAITING, top)
        there = {name for entry in os.scandir(target) if entry.is_dir(follow_symlinks=False) for name in os.listdir(entry.path)}
        copied = 0
        for one, encoded in _read(selection, root):
            name = _name_of_copy(one, encoded.data)
            if name not in there:
                _write_new(name, encoded.data, waiting)
                copied += 1
    return copied, len(selection.photographs) - copied


def _read(selection: Selection, root: str) -> Iterator[tuple[Selected, Encoded]]:
    """The photographs with their bytes, except those that are gone or have changed. A data set has no access by path: it is read
    until all are found."""
    for source in sorted({one.source for one in selection.photographs}):
        wanted = {one.path: one for one in selection.photographs if one.source == source}
        if is_data_set(source):
            found = _until_found(set(wanted), every_image(source, str(Layout.at(root).datasets), LIMIT))
        else:
            found = (listing.read(listing.candidate_at(source, path, selection.follow_links), LIMIT) for path in wanted)
        for encoded in found:
            if encoded.content_hash == wanted[encoded.path].content_hash:
                yield wanted[encoded.path], encoded


def _until_found(paths: set[str], images: Iterator[Callable[[], Encoded]]) -> Iterator[Encoded]:
    while paths and (read := next(images, None)):
        encoded = read()
        if encoded.path in paths:
            paths.remove(encoded.path)
            yield encoded


def _opened(stack: contextlib.ExitStack, name: str, inside: int | None = None) -> int:
    """A descriptor of a folder; of one inside another only if it is no link, so that nothing leads out."""
    flags = os.O_RDONLY | os.O_DIRECTORY | (0 if inside is None else os.O_NOFOLLOW)
    descriptor = os.open(name, flags, dir_fd=inside)
    stack.callback(os.close, descriptor)
    return descriptor


def _is_name(name: str) -> bool:
    """Whether a class can have a folder of its name: one name, not hidden, and none that means something else in a source."""
    return bool(name) and "/" not in name and "\0" not in name and not name.startswith(".") and len(name.encode()) < 256


def _name_of_copy(one: Selected, data: bytes) -> str:
    """The beginning of the photograph's own name, its content, and what kind of file it is."""
    stem = os.path.splitext(os.path.basename(one.path))[0]
    plain = re.sub(r"[^\w-]+", "_", stem)[:KEPT].strip("_") or "photograph"
    return f"{plain}-{one.content_hash[:8]}{photograph.ending(data)}"


def _write_new(name: str, data: bytes, inside: int) -> None:
    """Writes a file that must not exist yet: whole, and never through a link."""
    unfinished = f".{name}{files.UNFINISHED}"
    with contextlib.suppress(FileNotFoundError):  # of an interrupted copy
        os.unlink(unfinished, dir_fd=inside)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=inside)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a renaming, a link never replaces anything.
        os.link(unfinished, name, src_dir_fd=inside, dst_dir_fd=inside, follow_symlinks=False)
    finally:
        os.unlink(unfinished, dir_fd=inside)
