"""The files of a folder, local or remote, and of what each is: to be read, or set aside with a reason. No image is decoded.

Nothing outside the folder is read, unless `data.follow_links` allows it for regular files: links that lead out are reported instead,
links to folders are not followed, and devices and pipes are not opened. Known junk is passed over, see `names`.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import tensorflow as tf

from components.errors import SourceNotFound
from components.example_gen import names
from components.example_gen.photograph import TOO_MANY_BYTES, Encoded, printable

LINK_OUT = "link out of the folder"
LINK_TO_FOLDER = "link to a folder"
NOT_A_FILE = "not a regular file"
UNREADABLE = "unreadable"

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
class Tree:
    """The folder `root` as files and folders in which photographs may be; paths are relative to it, "" is the folder itself.

    exclude, follow_links: as in `pipeline_config.Data`.
    passed_over: the kind of each path that was passed over so far, as in `names.passed_over`; folders end in a slash.
    """

    root: str
    exclude: Sequence[str] = ()
    follow_links: bool = False
    passed_over: dict[str, str] = field(default_factory=dict)

    def names(self, path: str = "") -> list[str]:
        """What is in a folder, sorted, except what is passed over."""
        location = self.at(path)
        listed = os.listdir(location) if is_local(location) else [name.rstrip("/") for name in tf.io.gfile.listdir(location)]
        listed = sorted(filter(None, listed))
        left_out = names.passed_over(listed, path, self.exclude)
        for name, kind in left_out.items():
            one = join(path, name)
            self.passed_over[f"{one}/" if kind != names.SIDECAR and self.is_folder(one) else one] = kind
        return [name for name in listed if name not in left_out]

    def folders(self, path: str = "") -> list[str]:
        """The names of the folders in a folder, sorted; links to folders are among them."""
        return [name for name in self.names(path) if self.is_folder(join(path, name))]

    def is_folder(self, path: str) -> bool:
        """Whether a path is a folder, or a link to one."""
        return is_folder(self.at(path))

    def is_link(self, path: str) -> bool:
        """Whether a path is a link; remote ones never are."""
        return is_local(self.root) and os.path.islink(self.at(path))

    def at(self, path: str) -> str:
        """Where a path is."""
        return join(self.root, path) if path else self.root

    def files(self, paths: list[str], class_name: str = "", split: str = "") -> Iterator[Candidate]:
        """The files at and below `paths`, at any depth, sorted by name.

        Memory holds only the names in the folders that lead to the current one, and what was passed over.
        """
        waiting = paths[::-1]
        while waiting:
            path = waiting.pop()
            found = Candidate(printable(path), class_name, split, self.at(path))
            if self.is_link(path):
                yield self._followed(found)
            elif self.is_folder(path):
                try:
                    waiting += [join(path, name) for name in reversed(self.names(path))]
                except OSError as error:
                    yield replace(found, reason=UNREADABLE, detail=_short(error))
            elif is_local(self.root) and not stat.S_ISREG(os.lstat(found.location).st_mode):
                yield replace(found, reason=NOT_A_FILE, detail="a device, pipe or socket")
            else:
                yield found

    def _followed(self, link: Candidate) -> Candidate:
        target = os.path.realpath(link.location)
        if os.path.commonpath([self.root, target]) != self.root and not self.follow_links:
            return replace(link, reason=LINK_OUT, detail="only data.follow_links=true follows links out of the folder, to files")
        if os.path.isdir(target):
            return replace(link, reason=LINK_TO_FOLDER, detail="only links to files are followed")
        if not os.path.isfile(target):
            if os.path.exists(target):
                return replace(link, reason=NOT_A_FILE, detail="a link to a device, pipe or socket")
            return replace(link, reason=UNREADABLE, detail="a broken link")
        return replace(link, location=target)


def list_any(source: str, tree: Tree | None = None) -> Iterator[Candidate]:
    """The files of a folder of any layout, at any depth and sorted by name, or the file `source` itself; local or remote.

    Candidates have no class and no split. Memory holds only the names in the folders that lead to the current one, and what was
    passed over.

    Args:
      source: the folder or file.
      tree: the folder with the rules by which it is listed, which also keeps what was passed over; None: the default rules.

    Raises:
      SourceNotFound: there is neither folder nor file.
    """
    root = root_of(source)
    if is_folder(root):
        tree = tree or Tree(root)
        yield from tree.files(tree.names())
    elif os.path.isfile(root) if is_local(root) else tf.io.gfile.exists(root):
        yield Candidate(printable(root.rsplit("/", 1)[-1]), "", "", root)
    else:
        raise SourceNotFound(f"there is no folder or file {source!r}; expected `synthetic`, `tfds:NAME`, a folder or an image")


def candidate_at(source: str, path: str, follow_links: bool = False) -> Candidate:
    """The file of a source that `list_any` listed as `path`; marked as not to be opened if `path` leads out of the source.

    follow_links: whether the path may be a link out of the source, to a regular file.
    """
    root = root_of(source)
    if not is_folder(root):
        found = Candidate(printable(root.rsplit("/", 1)[-1]), "", "", root)
        return found if found.path == path else replace(found, path=path, reason=UNREADABLE, detail="no such file")
    found = Candidate(path, "", "", join(root, path))
    inside = all(part not in ("", ".", "..") for part in path.split("/"))
    if inside and is_local(root):
        # A link to a folder is never followed, so the folder that the file is in must be inside.
        followed = os.path.dirname(found.location) if follow_links else found.location
        inside = os.path.commonpath([root, os.path.realpath(followed)]) == root
    if not inside:
        return replace(found, reason=LINK_OUT, detail="it is not inside the folder")
    if is_local(root) and os.path.exists(found.location) and not os.path.isfile(found.location):
        return replace(found, reason=NOT_A_FILE, detail="a folder, device, pipe or socket")
    return found


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


def _chunks(location: str) -> Iterator[bytes]:
    with open(location, "rb") if is_local(location) else tf.io.gfile.GFile(location, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def root_of(source: str) -> str:
    """The folder or file that a source names: absolute and without links if it is local."""
    return os.path.realpath(os.path.expanduser(source)) if is_local(source) else source.rstrip("/")


# Local paths go through os, not tf.io.gfile: file names need not be UTF-8, and only os tells links from files.


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's file system."""
    return "://" not in path


def is_folder(path: str) -> bool:
    """Whether there is a folder at a local or remote path."""
    return os.path.isdir(path) if is_local(path) else tf.io.gfile.isdir(path)


def join(above: str, name: str) -> str:
    """The path of `name` in the folder `above`, which may be ""."""
    return f"{above.rstrip('/')}/{name}" if above else name


def _size(path: str) -> int:
    return os.path.getsize(path) if is_local(path) else tf.io.gfile.stat(path).length


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}".splitlines()[0][:200]
