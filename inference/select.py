"""`select`: which photographs of a source to label next, with the reason in words.

Photographs are read and checked as at ingest, labels are taken as a run takes them, and the rule is in inference/selection.py.
Vectors go to a temporary file (4 x embedding_size bytes a photograph); memory holds a photograph's description and point, about
10 kilobytes with the search for near-duplicates, and a window of the vectors.
"""

import collections
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

import pipeline_config
from components.errors import DataRefused
from components.example_gen import listing, near_duplicates
from components.example_gen.photograph import Encoded
from components.example_gen.source import TFDS_PREFIX, open_source
from contracts.layout import Layout
from contracts.text import percent
from inference import selection
from inference.embed import LIMIT, Backbone, Described, batches, counts, log_unreadable
from inference.predict import Classifier
from inference.registered import Registered, find
from inference.selection import SAMPLE, Choice
from registry.backend import CHAMPION, NoSuchVersion, RegistryError
from trainer.probe import fit_probe

# Vectors in memory at a time: 16 MB with 960 numbers each.
BLOCK = 4096
# Two classes are named where the first is less than this much more probable than the second.
UNCERTAIN = 0.5


class SelectionRefused(ValueError):
    """There is nothing to choose, or not as asked; the message says what to do."""


@dataclass(frozen=True)
class Selected:
    """One photograph to label.

    path: in `source`. content_hash: SHA-256 (hex) of the file. reason: in words. score: the share of what is not understood yet
    that it stands for, in [0, 1]. guess, probability: the most probable class; "" and None while nothing can be said.
    """

    path: str
    content_hash: str
    reason: str
    score: float
    guess: str = ""
    probability: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Selection:
    """The result of `select`.

    photographs: to label, in this order. labelled, unlabelled: usable photographs of the source; a copy of a labelled file counts
    as neither. classes: of its labels, sorted. unreadable: files left out, by reason. seconds: from the first file to the last
    choice. backbone: whose vectors they are. follow_links: as in `select`.
    """

    photographs: tuple[Selected, ...]
    labelled: int
    unlabelled: int
    classes: tuple[str, ...]
    unreadable: dict[str, int]
    seconds: float
    backbone: Registered
    follow_links: bool = False


def select(
    source: str,
    count: int,
    *,
    labels: str = "",
    unlabelled: str = "",
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    root: str = "runs",
    version: str = CHAMPION,
    name: str = pipeline_config.Registry.name,
    registry: str = "",
    unverified: bool = False,
    backbone: Registered | None = None,
    seed: int = 0,
    on_unreadable: Callable[[Described], None] = log_unreadable,
    on_progress: Callable[[int], None] | None = None,
) -> Selection:
    """The photographs to label next, the most useful first. Never one that has a label, nor two of the same picture.

    Args:
      source, labels, unlabelled, exclude, follow_links: the photographs and their labels, as `data.source` and so on of a run.
      count: how many, at least 1.
      root: where the registry is, as `--root`; `version` (number or alias) and `name` say which backbone.
      registry: http(s)://HOST:PORT of the MLflow server that has the registry; "": that below `root`.
      unverified: use it in any case, as in inference.embed.embed.
      backbone: instead of a registered one, such as one of a run that registered none.
      seed: of the clusters; the same photographs, labels and seed give the same choice.
      on_unreadable: called with each image that is left out; by default they are logged.
      on_progress: called with the number of images read so far, after each batch.

    Raises:
      SelectionRefused: `count` is not positive, or every photograph has a label.
      RegistryError: there is no such version, or it may not be used.
      ConfigurationError, SourceNotFound, DataRefused: as for a run; DataRefused also if no image can be used.
    """
    if count < 1:
        raise SelectionRefused(f"the number of photographs must be at least 1, got {count}")
    data = pipeline_config.Data(
        source=source, labels=labels, unlabelled=unlabelled, exclude=tuple(exclude), follow_links=follow_links)  # fmt: skip
    chosen = backbone or _find(root, version, name, unverified, registry)
    network = Backbone(chosen)
    started = time.perf_counter()
    opened = open_source(data, str(Layout.at(root).datasets))
    unreadable: collections.Counter = collections.Counter()
    with tempfile.TemporaryFile() as file:
        found = _read(network, _images(opened), file, unreadable, on_unreadable, on_progress)
        if not found:
            raise DataRefused(f"{source} has no image that can be used ({counts(unreadable)})")
        vectors = np.memmap(file, np.float32, "r", shape=(len(found), network.embedding_size))
        ready = None if backbone else functools.partial(Classifier, root, version, name, unverified=unverified, registry=registry)
        picked = choose(found, vectors, count, seed, ready)
    if not picked:
        raise SelectionRefused(f"every photograph of {source} has a label, or shows the same picture as one that has")
    labelled = {one.content_hash for one in found if one.class_name}
    # Data sets last: a folder can be asked for a path.
    sources = sorted(filter(None, (source, unlabelled)), key=is_data_set)
    return Selection(
        photographs=tuple(replace(one, source=_source_of(one, sources, follow_links)) for one in picked),
        labelled=sum(bool(one.class_name) for one in found),
        unlabelled=sum(one.content_hash not in labelled for one in found),
        classes=tuple(sorted({one.class_name for one in found} - {""})),
        unreadable=dict(unreadable),
        seconds=time.perf_counter() - started,
        backbone=chosen,
        follow_links=follow_links,
    )


def _find(root: str, version: str, name: str, unverified: bool, registry: str) -> Registered:
    try:
        return find(root, version, name, unverified=unverified, registry=registry)
    except NoSuchVersion as error:
        raise NoSuchVersion(f"{error}; --run latest takes the backbone of the latest run, registered or not") from error


def _source_of(one: Selected, sources: Sequence[str], follow_links: bool) -> str:
    """Which of the sources has the photograph. Of the last it is not asked: there it is, if it is in no other."""
    for source in sources[:-1]:
        if not is_data_set(source):
            encoded = listing.read(listing.candidate_at(source, one.path, follow_links), LIMIT)
            if encoded.content_hash == one.content_hash:
                return source
    return sources[-1]


def is_data_set(source: str) -> bool:
    """Whether a source has no access by path."""
    return source == "synthetic" or source.startswith(TFDS_PREFIX)


def _images(opened) -> Iterator[Callable[[], Encoded]]:
    return (functools.partial(lambda encoded: encoded, encoded) for encoded in opened.encoded(set(), LIMIT))


class Known(NamedTuple):
    """What the choice needs of a photograph besides its vector. class_name: "" if it has no label. split: "" if not divided."""

    path: str
    content_hash: str
    class_name: str
    split: str
    thumbnail: bytes


def _read(network, images, file, unreadable, on_unreadable, on_progress) -> list[Known]:
    """Describes all images; the vectors of those that can be used go to `file`, in the same order."""
    found = []
    for batch, vectors in batches(network, images):
        for one in batch:
            if one.view is None:
                unreadable[one.reason] += 1
                on_unreadable(one)
            else:
                found.append(Known(one.path, one.content_hash, one.class_name, one.split, one.thumbnail))
        file.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        if on_progress:
            on_progress(len(found))
    file.flush()
    return found


def choose(
    known: Sequence[Known], vectors: np.ndarray, count: int, seed: int, ready: Callable[[], Classifier] | None = None
) -> list[Selected]:
    """The photographs to label next.

    Args:
      known: all photographs.
      vectors: theirs, `[len(known), d]` float32.
      count, seed: as in `select`.
      ready: loads a classifier that guesses where the labels are too few to fit one; it has no part in the choice.
    """
    order = np.array(sorted(range(len(known)), key=lambda row: (known[row].content_hash, known[row].path)))
    known = [known[row] for row in order]
    labelled = np.array([bool(one.class_name) for one in known])
    groups = near_duplicates.group([one.thumbnail for one in known])
    sample = selection.sampled(len(known), SAMPLE, seed)
    space = selection.fit_space(vectors[order[sample]])
    points = np.concatenate([space.points(vectors[order[start : start + BLOCK]]) for start in range(0, len(order), BLOCK)])
    guesses = _fitted(known, order, vectors, seed)
    weights = guesses and guesses.margin
    choices = selection.choose(points, count, labelled=labelled, groups=groups, weights=weights, seed=seed)
    rows = [choice.row for choice in choices]
    said = guesses.of(rows) if guesses else _ready_made(ready, vectors[order[rows]])
    nearest = points[labelled]
    selected = []
    for choice, classes in zip(choices, said, strict=True):
        one = known[choice.row]
        similarity = float((nearest @ points[choice.row]).max()) if len(nearest) else None
        guess = classes[0] if classes else ("", None)
        selected.append(Selected(one.path, one.content_hash, in_words(choice, similarity, classes), choice.score, *guess))
    return selected


Classes = list[tuple[str, float]]  # the two most probable, with their probabilities


def _ready_made(ready: Callable[[], Classifier] | None, vectors: np.ndarray) -> list[Classes | None]:
    try:
        classifier = ready and len(vectors) and ready()
    except RegistryError:  # of an early release: its vectors serve all the same
        classifier = None
    if not classifier:
        return [None] * len(vectors)
    first, probability = _two_most_probable(classifier.probabilities(vectors))
    return _Guesses(classifier.classes, first, probability).of(range(len(vectors)))


@dataclass(frozen=True)
class _Guesses:
    """The two most probable classes of each photograph, `[count, 2]` integers, and their probabilities, `[count, 2]` float32."""

    classes: tuple[str, ...]
    first: np.ndarray
    probability: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        return selection.uncertainty(self.probability)

    def of(self, rows: Sequence[int]) -> list[Classes]:
        return [[(self.classes[label], float(p)) for label, p in zip(self.first[row], self.probability[row])] for row in rows]


def _fitted(known: Sequence[Known], order: np.ndarray, vectors: np.ndarray, seed: int) -> _Guesses | None:
    """By a probe that is fitted on today's labels; None if there are fewer than two classes.

    A split that the source itself holds out for the gate is not fitted on.
    """
    rows = np.array([row for row, one in enumerate(known) if one.class_name and one.split != "eval"], int)
    rows = rows[selection.sampled(len(rows), SAMPLE, seed)]
    classes, labels = np.unique([known[row].class_name for row in rows], return_inverse=True)
    if len(classes) < 2:
        return None
    settings = pipeline_config.LinearEval()
    probe = fit_probe(vectors[order[rows]], labels, regularisation=settings.regularisation, folds=settings.folds, seed=settings.seed)
    first, probability = np.empty((len(known), 2), np.int32), np.empty((len(known), 2), np.float32)
    for start in range(0, len(known), BLOCK):
        block = slice(start, start + BLOCK)
        first[block], probability[block] = _two_most_probable(probe.probabilities(vectors[order[block]]))
    return _Guesses(tuple(classes.tolist()), first, probability)


def _two_most_probable(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    two = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return two, np.take_along_axis(probabilities, two, axis=1)


def in_words(choice: Choice, similarity: float | None, said: Classes | None) -> str:
    """Why a photograph was chosen.

    Args:
      similarity: to the nearest labelled photograph, a cosine; None if there is none.
      said: its two most probable classes with their probabilities; None while nothing can be said.
    """
    reasons = []
    if said:
        (first, p), (second, q) = said
        either = f"{first} {percent(p, 0)} or {second} {percent(q, 0)}"
        reasons.append(either if p - q < UNCERTAIN else f"probably {first} ({percent(p, 0)})")
    if choice.alike == 1:
        reasons.append("like no other photograph")
    else:
        before = f"{choice.covered} of them labelled or chosen before it" if choice.covered else "none of them labelled"
        reasons.append(f"typical of {choice.alike:,} similar photographs, {before}")
    if similarity is not None:
        reasons.append(f"similarity {similarity:.2f} to the nearest labelled one")
    return "; ".join(reasons)
