"""A folder of photographs as a source: `CLASS/*`, or `train/CLASS/*` with `eval/CLASS/*`, under any of the usual names of splits.

Unlabelled are the photographs in `unlabelled/` (or `unlabeled/`) and those beside the class folders. Where a labels file
says which photograph shows what, folders mean nothing, and what it does not name is unlabelled.
"""

import functools
import hashlib
import json
import os
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from itertools import chain

import numpy as np
import tensorflow as tf

from components.errors import DataRefused, SourceNotFound
from components.example_gen import names
from components.example_gen.labels import Row
from components.example_gen.listing import (
    UNREADABLE,
    Candidate,
    Tree,
    candidate_at,
    exists,
    is_folder,
    is_local,
    join,
    list_any,
    read,
    root_of,
)
from components.example_gen.photograph import Encoded
from contracts import files
from contracts.examples import EVAL, TRAIN, UNLABELLED
from contracts.text import printable, visible
from contracts.threads import in_order

MISSING = "in the labels file, but missing"
HASHING_THREADS = 8
HASHED = 64  # files that a thread hashes at a time: handing over a file takes as long as hashing a small one


def content_of(candidate: Candidate) -> str:
    """SHA-256 of a candidate's bytes; the reason instead if it must not or cannot be opened."""
    if candidate.reason:
        return candidate.reason
    try:
        return files.sha256(candidate.location)
    except (OSError, tf.errors.OpError):
        return UNREADABLE


@dataclass(frozen=True)
class Folder:
    """The files of a folder by name; no image has been read yet. `content` finds the content hash of a candidate."""

    name: str
    classes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    given_splits: bool
    split_rule: str
    unused: tuple[str, ...]
    kind: str = "folder"
    licence: str = ""  # a folder states none
    citation: str = ""
    content: Callable[[Candidate], str] = field(default=content_of, compare=False)

    @property
    def size(self) -> int:
        """Files that may be photographs."""
        return len(self.candidates)

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the paths, labels and contents of all candidates: times, owners and modes do not count."""
        return self._hashes[0]

    def photographs(self) -> np.ndarray:
        """`[candidates, 2]` uint64: for each a hash of its split and path, and one of its label and content."""
        return self._hashes[1]

    @functools.cached_property
    def _hashes(self) -> tuple[str, np.ndarray]:
        """Fingerprint and photographs, from asking for the content of all files once."""
        total, each = hashlib.sha256(), np.empty((len(self.candidates), 2), np.uint64)
        with ThreadPoolExecutor(HASHING_THREADS) as threads:
            parts = (self.candidates[first : first + HASHED] for first in range(0, len(self.candidates), HASHED))
            contents = in_order(threads, lambda part: [self.content(one) for one in part], parts, 4 * HASHING_THREADS)
            for index, (candidate, content) in enumerate(zip(self.candidates, chain.from_iterable(contents), strict=True)):
                place, shows = f"{candidate.split}\0{candidate.path}", f"{candidate.class_name}\0{content}"
                total.update(f"{place}\0{shows}\n".encode())
                each[index] = _first_64_bits(place), _first_64_bits(shows)
        return total.hexdigest(), each

    def encoded(self, enough: set[str], max_bytes: int) -> Iterator[Encoded]:
        """Reads file after file; skips classes that the caller has added to `enough`."""
        for candidate in self.candidates:
            if candidate.class_name not in enough:
                yield read(candidate, max_bytes)

    def elements(self, scratch: str) -> Sequence["Listed"]:
        """What the whole folder is read by: lists of files, which are written below `scratch`."""
        size = max(1, min(LISTED, len(self.candidates) // LISTS))
        lists = []
        for first in range(0, len(self.candidates), size):
            lists.append(Listed(join(scratch, f"list-{uuid.uuid4().hex}.json")))
            files.write_text(lists[-1].path, json.dumps([astuple(one) for one in self.candidates[first : first + size]]))
        return lists


# Files in a list, at most, and lists that there are at least where there are as many files: workers share them.
LISTED, LISTS = 1000, 64


@dataclass(frozen=True)
class Listed:
    """Some files of a folder, named by the JSON at `path`, each of which is opened when its turn comes."""

    path: str

    def images(self, max_bytes: int) -> Iterator[Encoded]:
        """The files, as `read` gives them."""
        for one in files.read_json(self.path):
            yield read(Candidate(*one), max_bytes)


def open_folder(
    source: str, eval_fraction: float, labels: Mapping[str, Row] | None = None, exclude: Sequence[str] = (), follow_links: bool = False
) -> Folder:
    """Lists a folder, local or remote.

    Args:
      source: the folder.
      eval_fraction: share of the labelled photographs that is held out if the source has no splits, for the sentence about it.
      labels: of a labels file, by path; None: class folders say what a photograph shows.
      exclude, follow_links: as in `pipeline_config.Data`.

    Raises:
      SourceNotFound: there is no such folder, or nothing in it that could be a photograph.
      DataRefused: its folders are splits by their names, but cannot be used as such.
    """
    root = root_of(source)
    if not is_folder(root):
        raise SourceNotFound(f"data.source: there is no folder {source!r}; expected `synthetic`, `tfds:NAME`, or a folder of photographs")
    tree = Tree(root, exclude, follow_links)
    if labels is not None:
        candidates, unused = _by_labels(tree, labels), []
        classes = {row.label for row in labels.values()}
        rule = "the column `split` of the labels file" if any(row.split for row in labels.values()) else ""
    else:
        classes, candidates, rule, unused = _by_folders(tree)
    if not classes and not candidates:
        raise SourceNotFound(
            f"data.source: {source!r} has no photographs; expected one folder of images for each class, images at its top or in "
            "unlabelled/, or a labels file (--labels)"
        )
    return Folder(
        name=source,
        classes=tuple(sorted(classes)),
        candidates=tuple(sorted(candidates, key=lambda candidate: (candidate.path, candidate.location))),
        given_splits=bool(rule),
        split_rule=rule or f"{100 * eval_fraction:g} % of each class held out, more where photographs are few, divided by content",
        unused=(*unused, *names.not_read(tree.passed_over)),
    )


def unlabelled_folder(source: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Folder:
    """Lists a folder, local or remote, whose photographs are all unlabelled, at any depth.

    Raises:
      SourceNotFound: there is no such folder, or nothing in it.
    """
    tree = Tree(root_of(source), exclude, follow_links)
    candidates = tuple(replace(one, split=UNLABELLED) for one in list_any(source, tree))
    if not candidates:
        raise SourceNotFound(f"data.unlabelled: there is no file in {source!r}")
    return Folder(source, (), candidates, False, "", tuple(names.not_read(tree.passed_over)))


def files_in_two_classes(candidates: Sequence[Candidate]) -> list[list[str]]:
    """The paths of local files of the same content that more than one class has, a list for each content, sorted.

    Only files whose size occurs in two classes are read, so this costs far less than a fingerprint.
    """
    by_size: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.class_name and not candidate.reason and is_local(candidate.location):
            by_size.setdefault(os.path.getsize(candidate.location), []).append(candidate)
    by_content: dict[str, list[Candidate]] = {}
    for alike in filter(_of_two_classes, by_size.values()):
        for candidate in alike:
            by_content.setdefault(content_of(candidate), []).append(candidate)
    by_content.pop(UNREADABLE, None)
    return sorted(sorted(one.path for one in alike) for alike in by_content.values() if _of_two_classes(alike))


def _of_two_classes(candidates: Sequence[Candidate]) -> bool:
    return len({candidate.class_name for candidate in candidates}) > 1


def _by_folders(tree: Tree) -> tuple[set[str], list[Candidate], str, list[str]]:
    """Class names and files of a folder whose class folders say what they show, the rule of its splits, and folders that are not read.

    Raises:
      DataRefused: the folders are splits by their names, but cannot be used as such.
    """
    split_of, rule = _splits(tree)
    classes, candidates, unused = set(), [], []
    for place in dict.fromkeys(("", *split_of)):  # its top, and the splits
        for name in tree.names(place):
            path = join(place, name)
            if not tree.is_folder(path):
                if names.looks_like_a_photograph(name):
                    candidates += tree.files([path], split=UNLABELLED)
                else:
                    tree.passed_over[path] = names.NO_IMAGE
            elif names.is_unlabelled(name):
                candidates += tree.files([path], split=UNLABELLED)
            elif place in split_of:
                found = list(tree.files([path], names.class_called(name), split_of[place]))
                if found:
                    classes.add(names.class_called(name))
                    candidates += found
                else:
                    tree.passed_over[f"{path}/"] = names.EMPTY
            elif path not in split_of:
                unused.append(f"{printable(path)}/")
    if names.look_like_splits(classes):
        raise DataRefused(
            f"data.source: {_listed(sorted(classes))} in {visible(tree.root)!r} are names of splits, not of classes; expected "
            "train/CLASS/* with eval/CLASS/* (or val, test, …), a folder for each class in both, or a labels file (--labels)"
        )
    return classes, candidates, rule, unused


def _splits(tree: Tree) -> tuple[dict[str, str], str]:
    """The folders that hold class folders, each with its split ("" if it has none), and the rule of the splits ("" if none).

    Raises:
      DataRefused: two folders are train by their names.
    """
    top = [name for name in tree.folders() if not names.is_unlabelled(name)]
    train = [name for name in top if names.split_of(name) == TRAIN]
    held_out = sorted((name for name in top if names.split_of(name) == EVAL), key=names.preference)
    # A class may be called train: it is a split beside a held-out folder, or alone.
    if not train or not _has_classes(tree, train[0]) or not (held_out or len(top) == 1):
        return {"": ""}, ""
    if len(train) > 1:
        raise DataRefused(f"data.source: {_listed(train)} in {visible(tree.root)!r} are both names of the train split; keep one")
    for name in held_out:
        if _has_classes(tree, name):
            return {train[0]: TRAIN, name: EVAL}, f"{printable(train[0])}/ and {printable(name)}/ of the folder"
    return {train[0]: ""}, ""


def _has_classes(tree: Tree, split: str) -> bool:
    return not tree.is_link(split) and any(not names.is_unlabelled(name) for name in tree.folders(split))


def _by_labels(tree: Tree, labels: Mapping[str, Row]) -> list[Candidate]:
    """Every file of a folder, at any depth, with the label that the labels file gives it, and those that are missing."""
    named = dict(labels)
    # Systems spell accents in two ways; a table that was written on one of them names files of the other.
    spelt = {unicodedata.normalize("NFC", path): path for path in labels}
    found = []
    for candidate in tree.files(tree.names()):
        path = candidate.path if candidate.path in named else spelt.get(unicodedata.normalize("NFC", candidate.path), "")
        row = named.pop(path, None)
        if row is not None:
            found.append(replace(candidate, class_name=row.label, split=row.split))
        elif names.looks_like_a_photograph(candidate.path):
            found.append(replace(candidate, split=UNLABELLED))
        else:
            tree.passed_over[candidate.path] = names.NO_IMAGE
    return found + [_unlisted(tree, path, row) for path, row in named.items() if not _excluded_above(tree, path)]


def _unlisted(tree: Tree, path: str, row: Row) -> Candidate:
    """What a labels file names, but the listing does not have: it is missing, outside, or passed over as junk. Named is read."""
    found = replace(candidate_at(tree.root, path, tree.follow_links), class_name=row.label, split=row.split)
    if found.reason:
        return found
    if not exists(found.location):
        return replace(found, reason=MISSING, detail="there is no such file")
    tree.passed_over.pop(path, None)
    return found


def _excluded_above(tree: Tree, path: str) -> bool:
    """Whether `data.exclude` leaves out a path, or a folder above it."""
    parts = path.split("/")
    return any(names.excluded("/".join(parts[:count]), tree.exclude) for count in range(1, len(parts) + 1))


def _listed(folders: Sequence[str]) -> str:
    return " and ".join(f"{visible(printable(name))}/" for name in folders)


def _first_64_bits(text: str) -> int:
    """The first 64 bits of the SHA-256 of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
