"""Opens what `data.source`, `data.labels` and `data.unlabelled` name, and checks whether it can be used.

`inspect` finds its fingerprint and classes; `open_source` opens it for reading.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

import pipeline_config
from components.errors import DataRefused
from components.example_gen import data_set, folder, listing, photograph
from components.example_gen.data_set import DataSet
from components.example_gen.folder import Folder
from components.example_gen.labels import read_labels
from components.example_gen.listing import Candidate
from components.example_gen.photograph import Encoded
from components.synthetic_flowers import builder as synthetic_builder
from components.synthetic_flowers import species
from contracts.files import json_sha256
from contracts.text import visible

TFDS_PREFIX = "tfds:"
MIN_CLASSES = 2
MIN_IMAGES = 2  # a class: one for train and one for eval


@dataclass(frozen=True)
class Inspection:
    """The result of inspecting a source.

    Attributes:
      kind: synthetic, tfds or folder.
      classes: sorted names; none if there is no label.
      fingerprint: SHA-256 (hex) of the source's content.
      photographs: `[count, 2]` uint64, for each photograph a hash of its path and one of its content; None unless it is a folder.
    """

    kind: str
    classes: tuple[str, ...]
    fingerprint: str
    photographs: np.ndarray | None = field(default=None, compare=False)


def inspect(data: pipeline_config.Data, datasets_dir: str, content: Callable[[Candidate], str] = folder.content_of) -> Inspection:
    """Inspects a source: names, hash of the content, and enough images to know that each class can be used.

    Args:
      data: the configuration's section; `data.source` is inspected.
      datasets_dir: where synthetic flowers are kept; nothing is drawn yet.
      content: finds the content hash of a file in a folder, see `folder.content_of`; called from several threads.

    Raises:
      SourceNotFound: no such folder, no photographs in it, no such TFDS data set, no such labels file.
      DataRefused: one class, a class with fewer than two usable images, a labels file that cannot be used, or no usable image.
    """
    if data.source == "synthetic" and not data.unlabelled:
        return Inspection("synthetic", tuple(sorted(species.NAMES)), _synthetic_fingerprint(data))
    source = open_source(data, datasets_dir, content)
    require_usable(source, data)
    return Inspection(source.kind, source.classes, source.fingerprint(), source.photographs())


def open_source(
    data: pipeline_config.Data, datasets_dir: str, content: Callable[[Candidate], str] = folder.content_of
) -> "Folder | DataSet | Extended":
    """Opens what the settings name; downloads and prepares a TFDS data set, draws the synthetic one if it is missing.

    Args:
      data, datasets_dir, content: as for `inspect`.

    Raises:
      SourceNotFound, DataRefused: as `inspect`.
    """
    parts = [_labelled_source(data, datasets_dir), *([_unlabelled_source(data)] if data.unlabelled else [])]
    parts = [dataclasses.replace(part, content=content) if isinstance(part, Folder) else part for part in parts]
    return Extended(*parts) if data.unlabelled else parts[0]


def _labelled_source(data: pipeline_config.Data, datasets_dir: str) -> Folder | DataSet:
    if data.source == "synthetic":
        return data_set.open_data_set(data.source, "synthetic", _synthetic(data, datasets_dir), data.eval_fraction)
    if data.source.startswith(TFDS_PREFIX):
        builder = data_set.prepare(data.source.removeprefix(TFDS_PREFIX))
        return data_set.open_data_set(data.source, "tfds", builder, data.eval_fraction)
    labels = read_labels(data.labels) if data.labels else None
    return folder.open_folder(data.source, data.eval_fraction, labels, data.exclude, data.follow_links)


def _unlabelled_source(data: pipeline_config.Data) -> Folder | DataSet:
    if data.unlabelled.startswith(TFDS_PREFIX):
        return data_set.open_unlabelled(data.unlabelled, "tfds", data_set.prepare(data.unlabelled.removeprefix(TFDS_PREFIX)))
    return folder.unlabelled_folder(data.unlabelled, data.exclude, data.follow_links)


class Extended:
    """A source together with a second one, `data.unlabelled`, whose photographs are all unlabelled."""

    def __init__(self, source: Folder | DataSet, unlabelled: Folder | DataSet):
        self.parts = (source, unlabelled)
        self.name = f"{source.name} and {unlabelled.name}"
        self.kind, self.classes, self.licence, self.citation = source.kind, source.classes, source.licence, source.citation
        self.given_splits, self.split_rule = source.given_splits, source.split_rule
        self.unused = (*source.unused, *unlabelled.unused)

    @property
    def size(self) -> int:
        """Files or photographs in both."""
        return sum(part.size for part in self.parts)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of both fingerprints."""
        return json_sha256([part.fingerprint() for part in self.parts])

    def photographs(self) -> np.ndarray | None:
        """As Folder.photographs, if both sources are folders; else None."""
        first, second = (part.photographs() for part in self.parts)
        if first is None or second is None:
            return None
        # The same path may be in both.
        return np.concatenate([first, second ^ np.array([1, 0], np.uint64)])

    def encoded(self, enough: set[str], max_bytes: int) -> Iterator[Encoded]:
        """Both sources' images, one after the other."""
        return itertools.chain.from_iterable(part.encoded(enough, max_bytes) for part in self.parts)

    def elements(self, scratch: str) -> Sequence[folder.Listed | data_set.RecordFile]:
        """What both are read by; lists of files are written below `scratch`."""
        return [element for part in self.parts for element in part.elements(scratch)]


def every_image(
    source: str, datasets_dir: str, max_bytes: int, exclude: Sequence[str] = (), follow_links: bool = False
) -> Iterator[Callable[[], Encoded]]:
    """All images of a source of any layout, labelled or not.

    A folder needs no class folders, and can be a single file; of a data set all splits are read, also those that a run ignores.

    Args:
      source: as `data.source`, or an image file.
      datasets_dir: where synthetic flowers are kept, and drawn if they are missing.
      max_bytes: larger files are not read.
      exclude, follow_links: as `data.exclude` and `data.follow_links`, for folders.

    Yields:
      Functions that read one image each, on the thread that calls them: listing files needs no memory for their content.

    Raises:
      SourceNotFound, DataRefused: as `open_source`.
    """
    synthetic = source == "synthetic"
    if synthetic or source.startswith(TFDS_PREFIX):
        name = source.removeprefix(TFDS_PREFIX)
        builder = _synthetic(pipeline_config.Data(), datasets_dir) if synthetic else data_set.prepare(name)
        return ((lambda encoded=encoded: encoded) for encoded in data_set.images(source, builder))
    tree = listing.Tree(listing.root_of(source), exclude, follow_links)
    return (functools.partial(listing.read, candidate, max_bytes) for candidate in listing.list_any(source, tree))


def require_usable(source: Folder | DataSet | Extended, data: pipeline_config.Data) -> None:
    """Whether a source has enough classes, and each of them enough images that can be used; no more of them are read.

    Raises:
      DataRefused: it has not.
    """
    if len(source.classes) == 1:
        raise DataRefused(
            f"{data.source} must have two or more classes, or none to learn without labels, got one, {source.classes[0]!r}"
            + _one_level_too_high(source, data)
        )
    # The class of unlabelled photographs is "": they are what is needed where there is no label, and may be missing elsewhere.
    usable = dict.fromkeys(source.classes or ("",), 0)
    problems: dict[str, str] = {}
    enough = {""} if source.classes else set()
    for encoded in source.encoded(enough, photograph.max_file_bytes(data.max_pixels)):
        try:
            if encoded.reason:
                raise photograph.Unusable(encoded.reason, encoded.detail)
            photograph.prepare(encoded.data, data.max_side, data.max_pixels, data.min_side)
        except photograph.Unusable as unusable:
            problems.setdefault(encoded.class_name, f"{encoded.path}: {unusable}")
            continue
        usable[encoded.class_name] += 1
        if usable[encoded.class_name] >= MIN_IMAGES:
            enough.add(encoded.class_name)
            if enough >= usable.keys():
                return
    lacking = [
        f"{f'class {name!r}' if name else 'it'} has {usable[name]} usable image{'' if usable[name] == 1 else 's'}"
        + (f" (for example {problems[name]})" if name in problems else "")
        for name in usable
        if name not in enough
    ]
    needs = "every class needs" if source.classes else "a source needs"
    raise DataRefused(f"{data.source}: {needs} at least {MIN_IMAGES} usable images, but {'; '.join(lacking[:5])}")


def _one_level_too_high(source: Folder | DataSet | Extended, data: pipeline_config.Data) -> str:
    """Where the only class folder is one of class folders or splits, as in an archive that was unpacked into a folder: which to name."""
    folders = {one.path.split("/")[1] for part in getattr(source, "parts", (source,))[:1] for one in getattr(part, "candidates", ())
               if one.class_name and one.path.count("/") > 1}  # fmt: skip
    if data.labels or len(folders) < 2:
        return ""
    inner = listing.join(data.source, source.classes[0])
    two = " and ".join(map(visible, sorted(folders)[:2]))
    return f"; if {two} in it are classes or splits, name the folder that has them: --data {visible(inner)}"


def _synthetic(data: pipeline_config.Data, datasets_dir: str):
    return synthetic_builder.prepare(
        datasets_dir, data.synthetic_images, data.synthetic_labelled, data.synthetic_side, data.synthetic_seed,
        data.eval_fraction)  # fmt: skip


def _synthetic_fingerprint(data: pipeline_config.Data) -> str:
    drawn = {name: value for name, value in pipeline_config.to_dict(data).items() if name.startswith("synthetic_")}
    drawn |= {"eval_fraction": data.eval_fraction, "code": synthetic_builder.drawing_code()}
    return json_sha256(drawn)
