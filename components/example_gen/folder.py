"""A folder of photographs as a source: `CLASS/*`, or `train/CLASS/*` with `eval/CLASS/*` (else `val`, else `test`).

Unlabelled are the photographs in `unlabelled/` (or `unlabeled/`) and those beside the class folders. Where a labels file
says which photograph shows what, folders mean nothing, and what it does not name is unlabelled.

Nothing outside the folder is ever read: links that lead out are reported instead, links to folders are not followed, and devices
and pipes are not opened.
"""

import functools
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import apache_beam as beam
import numpy as np
import tensorflow as tf

from components.errors import SourceNotFound
from components.example_gen.labels import Row
from components.example_gen.photograph import TOO_MANY_BYTES, Encoded, printable
from contracts import files
from contracts.examples import UNLABELLED

LINK_OUT = "link out of the folder"
LINK_TO_FOLDER = "link to a folder"
NOT_A_FILE = "not a regular file"
UNREADABLE = "unreadable"
MISSING = "in the labels file, but missing"

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")  # in any case
# Files without a class, outside of such a folder, are photographs by their names alone: a licence or a labels file is none, and
# must not count as a damaged photograph.
IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif")
NAMED_FILES = 3  # of those that are not read, in a sentence
HELD_OUT_NAMES = ("eval", "val", "test")  # the first that exists is the eval split
HASHING_THREADS = 8
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Candidate:
    """One file: `location` is what to open; `reason` is set if it must not be opened. Unlabelled ones have the class ""."""

    path: str
    class_name: str
    split: str
    location: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Folder:
    """The files of a folder by name; no image has been read yet."""

    name: str
    classes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    given_splits: bool
    split_rule: str
    unused: tuple[str, ...]
    kind: str = "folder"
    licence: str = ""  # a folder states none
    citation: str = ""

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the paths, labels and contents of all candidates: times, owners and modes do not count."""
        return self._hashes[0]

    def photographs(self) -> np.ndarray:
        """`[candidates, 2]` uint64: for each a hash of its split and path, and one of its label and content."""
        return self._hashes[1]

    @functools.cached_property
    def _hashes(self) -> tuple[str, np.ndarray]:
        """Fingerprint and photographs, from reading all files once."""
        total, each = hashlib.sha256(), np.empty((len(self.candidates), 2), np.uint64)
        with ThreadPoolExecutor(HASHING_THREADS) as threads:
            for index, (candidate, content) in enumerate(zip(self.candidates, threads.map(_content, self.candidates), strict=True)):
                place, shows = f"{candidate.split}\0{candidate.path}", f"{candidate.class_name}\0{content}"
                total.update(f"{place}\0{shows}\n".encode())
                each[index] = _first_64_bits(place), _first_64_bits(shows)
        return total.hexdigest(), each

    def encoded(self, enough: set[str], max_bytes: int) -> Iterator[Encoded]:
        """Reads file after file; skips classes that the caller has added to `enough`."""
        for candidate in self.candidates:
            if candidate.class_name not in enough:
                yield read(candidate, max_bytes)

    def read_all(self, max_bytes: int) -> beam.PTransform:
        """Beam: the whole folder as Encoded. The workers open the files, so that bytes are moved as little as possible."""
        return beam.Create(self.candidates) | beam.Map(read, max_bytes=max_bytes)


def open_folder(source: str, eval_fraction: float, labels: Mapping[str, Row] | None = None) -> Folder:
    """Lists a folder, local or remote.

    Args:
      source: the folder.
      eval_fraction: share of the labelled photographs that is held out if the source has no splits, for the sentence about it.
      labels: of a labels file, by path; None: class folders say what a photograph shows.

    Raises:
      SourceNotFound: there is no such folder, or nothing in it that could be a photograph.
    """
    root = _root(source)
    if not _is_folder(root):
        raise SourceNotFound(
            f"data.source: there is no folder {source!r}; expected `synthetic`, `tfds:NAME`, or a folder of photographs"
        )
    if labels is not None:
        candidates, unused = _by_labels(source, root, labels), []
        classes = {row.label for row in labels.values()}
        splits = any(row.split for row in labels.values())
        rule = "the column `split` of the labels file" if splits else ""
    else:
        classes, candidates, held_out, unused = _by_folders(root)
        splits = bool(held_out)
        rule = f"train/ and {held_out}/ of the folder" if splits else ""
    if not classes and not candidates:
        raise SourceNotFound(
            f"data.source: {source!r} has no photographs; expected one folder of images for each class, images at its top or in "
            "unlabelled/, or a labels file (--labels)"
        )
    return Folder(
        name=source,
        classes=tuple(sorted(classes)),
        candidates=tuple(sorted(candidates, key=lambda candidate: (candidate.path, candidate.location))),
        given_splits=splits,
        split_rule=rule
        or f"{100 * eval_fraction:g} % of each class held out, more where photographs are few, divided by content",
        unused=tuple(unused),
    )


def unlabelled_folder(source: str) -> Folder:
    """Lists a folder, local or remote, whose photographs are all unlabelled, at any depth.

    Raises:
      SourceNotFound: there is no such folder, or nothing in it.
    """
    candidates = tuple(replace(one, split=UNLABELLED) for one in list_any(source))
    if not candidates:
        raise SourceNotFound(f"data.unlabelled: there is no file in {source!r}")
    return Folder(source, (), candidates, False, "", ())


def _by_folders(root: str) -> tuple[set[str], list[Candidate], str, list[str]]:
    """Class names and files of a folder whose class folders say what they show, its held-out folder's name, and what is not read."""
    top = [name for name in _folders(root) if name.lower() not in UNLABELLED_FOLDERS]
    held_out = next((name for name in HELD_OUT_NAMES if name in top), "")
    # A class may be called train: it is a split beside a held-out folder, or alone.
    divided = ("train" in top and (held_out or len(top) == 1) and not _is_link(_join(root, "train"))
               and _folders(_join(root, "train")))  # fmt: skip
    if not divided:
        held_out, split_of = "", {"": ""}
    else:
        split_of = {"train/": "train", f"{held_out}/": "eval"} if held_out else {"train/": ""}
    classes, candidates, unused, not_photographs = set(), [], [], []
    for place in dict.fromkeys(("", *split_of)):  # its top, and the splits
        for name in _names(_join(root, place)):
            path = place + name
            if not _is_folder(_join(root, path)):
                if _looks_like_a_photograph(name):
                    candidates += _list_below(root, [path], split=UNLABELLED)
                else:
                    not_photographs.append(path)
            elif name.lower() in UNLABELLED_FOLDERS:
                candidates += _list_below(root, [path], split=UNLABELLED)
            elif place in split_of:
                classes.add(printable(name))
                candidates += _list_below(root, [path], printable(name), split_of[place])
            elif f"{path}/" not in split_of:
                unused.append(f"{printable(path)}/")
    return classes, candidates, held_out, unused + _not_read(not_photographs)


def _by_labels(source: str, root: str, labels: Mapping[str, Row]) -> list[Candidate]:
    """Every file of a folder, at any depth, with the label that the labels file gives it, and those that are missing."""
    named = dict(labels)
    # Systems spell accents in two ways; a table that was written on one of them names files of the other.
    spelt = {unicodedata.normalize("NFC", path): path for path in labels}
    found = []
    for candidate in list_any(source):
        path = candidate.path if candidate.path in named else spelt.get(unicodedata.normalize("NFC", candidate.path), "")
        row = named.pop(path, None)
        if row is not None:
            found.append(replace(candidate, class_name=row.label, split=row.split))
        elif _looks_like_a_photograph(candidate.path):
            found.append(replace(candidate, split=UNLABELLED))
    for path, row in named.items():
        missing = replace(candidate_at(source, path), class_name=row.label, split=row.split)
        found.append(missing if missing.reason else replace(missing, reason=MISSING, detail="there is no such file"))
    return found


def _looks_like_a_photograph(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def _not_read(names: Sequence[str]) -> list[str]:
    """One sentence part about files at the top that are not photographs by their names."""
    if not names:
        return []
    shown = ", ".join(printable(name) for name in names[:NAMED_FILES])
    more = f" and {len(names) - NAMED_FILES} more" if len(names) > NAMED_FILES else ""
    return [f"files without the ending of an image: {shown}{more}"]


def read(candidate: Candidate, max_bytes: int) -> Encoded:
    """The candidate's bytes, or why there are none: marked when it was listed, larger than `max_bytes`, or unreadable."""
    encoded = Encoded(candidate.path, candidate.class_name, candidate.split, b"", candidate.reason, candidate.detail)
    if candidate.reason:
        return encoded
    try:
        size = _size(candidate.location)
        if size > max_bytes:
            return replace(encoded, reason=TOO_MANY_BYTES, detail=f"{size} bytes; at most {max_bytes} are read")
        return replace(encoded, data=b"".join(_chunks(candidate.location)))
    except (OSError, tf.errors.OpError) as error:
        return replace(encoded, reason=UNREADABLE, detail=_short(error))


def list_any(source: str) -> Iterator[Candidate]:
    """The files of a folder of any layout, at any depth and sorted by name, or the file `source` itself; local or remote.

    Candidates have no class and no split. Memory holds only the names in the folders that lead to the current one.

    Raises:
      SourceNotFound: there is neither folder nor file.
    """
    root = _root(source)
    if _is_folder(root):
        yield from _list_below(root, _names(root))
    elif os.path.isfile(root) if _is_local(root) else tf.io.gfile.exists(root):
        yield Candidate(printable(root.rsplit("/", 1)[-1]), "", "", root)
    else:
        raise SourceNotFound(f"there is no folder or file {source!r}; expected `synthetic`, `tfds:NAME`, a folder or an image")


def candidate_at(source: str, path: str) -> Candidate:
    """The file of a source that `list_any` listed as `path`; marked as not to be opened if `path` leads out of the source."""
    root = _root(source)
    if not _is_folder(root):
        found = Candidate(printable(root.rsplit("/", 1)[-1]), "", "", root)
        return found if found.path == path else replace(found, path=path, reason=UNREADABLE, detail="no such file")
    found = Candidate(path, "", "", _join(root, path))
    inside = all(part not in ("", ".", "..") for part in path.split("/"))
    if inside and _is_local(root):
        inside = os.path.commonpath([root, os.path.realpath(found.location)]) == root
    if not inside:
        return replace(found, reason=LINK_OUT, detail="it is not inside the folder")
    if _is_local(root) and os.path.exists(found.location) and not os.path.isfile(found.location):
        return replace(found, reason=NOT_A_FILE, detail="a folder, device, pipe or socket")
    return found


def _list_below(root: str, paths: list[str], class_name: str = "", split: str = "") -> Iterator[Candidate]:
    """The files at and below `paths` of `root`, at any depth, except names that begin with a dot."""
    waiting = paths[::-1]
    while waiting:
        path = waiting.pop()
        found = Candidate(printable(path), class_name, split, _join(root, path))
        if _is_link(found.location):
            yield _follow(root, found)
        elif _is_folder(found.location):
            try:
                waiting += [f"{path}/{name}" for name in reversed(_names(found.location))]
            except OSError as error:
                yield replace(found, reason=UNREADABLE, detail=_short(error))
        elif _is_local(root) and not stat.S_ISREG(os.lstat(found.location).st_mode):
            yield replace(found, reason=NOT_A_FILE, detail="a device, pipe or socket")
        else:
            yield found


def _follow(root: str, link: Candidate) -> Candidate:
    target = os.path.realpath(link.location)
    if os.path.commonpath([root, target]) != root:
        return replace(link, reason=LINK_OUT, detail="links are followed only inside the folder")
    if os.path.isdir(target):
        return replace(link, reason=LINK_TO_FOLDER, detail="only links to files are followed")
    if not os.path.isfile(target):
        return replace(link, reason=UNREADABLE, detail="a broken link")
    return replace(link, location=target)


def _first_64_bits(text: str) -> int:
    """The first 64 bits of the SHA-256 of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _content(candidate: Candidate) -> str:
    """SHA-256 of a candidate's bytes; the reason instead if it must not or cannot be opened."""
    if candidate.reason:
        return candidate.reason
    try:
        return files.sha256(candidate.location)
    except (OSError, tf.errors.OpError):
        return UNREADABLE


def _chunks(location: str) -> Iterator[bytes]:
    with open(location, "rb") if _is_local(location) else tf.io.gfile.GFile(location, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _root(source: str) -> str:
    return os.path.realpath(os.path.expanduser(source)) if _is_local(source) else source.rstrip("/")


def _folders(path: str) -> list[str]:
    return [name for name in _names(path) if _is_folder(_join(path, name))]


def _names(path: str) -> list[str]:
    names = os.listdir(path) if _is_local(path) else [name.rstrip("/") for name in tf.io.gfile.listdir(path)]
    return sorted(name for name in names if name and not name.startswith("."))


# Local paths go through os, not tf.io.gfile: file names need not be UTF-8, and only os tells links from files.


def _is_local(path: str) -> bool:
    return "://" not in path


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) if _is_local(path) else tf.io.gfile.isdir(path)


def _is_link(path: str) -> bool:
    return _is_local(path) and os.path.islink(path)


def _size(path: str) -> int:
    return os.path.getsize(path) if _is_local(path) else tf.io.gfile.stat(path).length


def _join(root: str, path: str) -> str:
    return f"{root.rstrip('/')}/{path}"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}".splitlines()[0][:200]
