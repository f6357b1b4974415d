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
from components.example_gen import names, remote
from components.example_gen.photograph import TOO_MANY_BYTES, Encoded
from contracts.text import printable

LINK_OUT = "link out of the folder"
LINK_TO_FOLDER = "link to a folder"
NOT_A_FILE = "not a regular file"
UNREADABLE = "unreadable"

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file: `location` is what to open; `reason` is set if it must not be opened. Unlabelled ones have the class ""."""

    path: str
    class_name: str
    split: str
    location: str
    reason: str = ""
    detail: str = ""

    def images(self, max_bytes: int) -> Iterator[Encoded]:
        """The file, as `read` gives it."""
        yield read(self, max_bytes)


# What the entry of a folder is.
FILE, FOLDER, LINK, OTHER = "file", "folder", "link", "other"


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: str


@dataclass(frozen=True)
class Tree:
    """The folder `root` as files and folders in which photographs may be; paths are relative to it, "" is the folder itself.

    exclude, follow_links: as in `pipeline_config.Data`.
    passed_over: the kind of each path that was passed over so far, as in `names.passed_over`; folders end in a slash.
    listings: what is in the folders if they are remote.
    """

    root: str
    exclude: Sequence[str] = ()
    follow_links: bool = False
    passed_over: dict[str, str] = field(default_factory=dict)
    listings: remote.Listings = field(default_factory=remote.Listings, repr=False)

    def names(self, path: str = "") -> list[str]:
        """What is in a folder, sorted, except what is passed over."""
        return [entry.name for entry in self._entries(path)]

    def folders(self, path: str = "") -> list[str]:
        """The names of the folders in a folder, sorted; links to folders are among them."""
        return [entry.name for entry in self._entries(path) if self.is_folder(join(path, entry.name))]

    def is_folder(self, path: str) -> bool:
        """Whether a path is a folder, or a link to one. Of a remote one, the listing of the folder above says it."""
        if is_local(self.root) or not path:
            return is_folder(self.at(path))
        above, _, name = path.rpartition("/")
        return (name, True) in self.listings.entries(self.at(above))

    def is_link(self, path: str) -> bool:
        """Whether a path is a link; remote ones never are."""
        return is_local(self.root) and os.path.islink(self.at(path))

    def at(self, path: str) -> str:
        """Where a path is."""
        return join(self.root, path) if path else self.root

    def files(self, paths: list[str], class_name: str = "", split: str = "") -> Iterator[Candidate]:
        """The files at and below `paths`, at any depth, sorted by name.

        Memory holds only the names in the folders that lead to the current one, those that are listed ahead, and what was passed over.
        """
        waiting = [(path, self._kind(path)) for path in reversed(paths)]
        while waiting:
            path, kind = waiting.pop()
            found = Candidate(printable(path), class_name, split, self.at(path))
            if kind == LINK:
                yield self._followed(found)
            elif kind == FOLDER:
                try:
                    waiting += [(join(path, entry.name), entry.kind) for entry in reversed(self._entries(path))]
                except OSError as error:
                    yield replace(found, reason=UNREADABLE, detail=_short(error))
                self.listings.forget(found.location)
            elif kind == OTHER:
                yield replace(found, reason=NOT_A_FILE, detail="a device, pipe or socket")
            else:
                yield found

    def _kind(self, path: str) -> str:
        if is_local(self.root):
            return _kind(os.lstat(self.at(path)).st_mode)
        return FOLDER if self.is_folder(path) else FILE

    def _entries(self, path: str) -> list["_Entry"]:
        """What is in a folder, sorted by name, except what is passed over, which is noted."""
        location = self.at(path)
        if is_local(self.root):
            with os.scandir(location) as listed:
                entries = [_Entry(entry.name, _kind_of_entry(entry)) for entry in listed]
        else:
            entries = [_Entry(name, FOLDER if folder else FILE) for name, folder in self.listings.entries(location)]
        entries.sort(key=lambda entry: entry.name)
        left_out = names.passed_over([entry.name for entry in entries], path, self.exclude)
        kept = []
        for entry in entries:
            kind, one = left_out.get(entry.name), join(path, entry.name)
            folder = kind and (entry.kind == FOLDER or entry.kind == LINK and is_folder(self.at(one)))
            if not kind or (folder and kind == names.TEXT):  # a folder may be called anything: `St. Johnswort.md` may be a class
                kept.append(entry)
            else:
                self.passed_over[f"{one}/" if folder and kind != names.SIDECAR else one] = kind
        if not is_local(self.root):
            self.listings.ahead(self.at(join(path, entry.name)) for entry in kept if entry.kind == FOLDER)
        return kept

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
      SourceNotFound: there is neither folder nor file; SourceUnreachable if that cannot be told.
    """
    root = root_of(source)
    if is_folder(root):
        tree = tree or Tree(root)
        yield from tree.files(tree.names())
    elif os.path.isfile(root) if is_local(root) else remote.exists(root):
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
        data = _read_at_most(candidate.location, max_bytes)
        if data is None:
            return replace(encoded, reason=TOO_MANY_BYTES, detail=f"at most {max_bytes} bytes are read")
        return replace(encoded, data=data)
    except (OSError, tf.errors.OpError) as error:
        return replace(encoded, reason=UNREADABLE, detail=_short(error))


def _read_at_most(location: str, max_bytes: int) -> bytes | None:
    """A file's bytes; None if there are more than `max_bytes`. Their number is not asked for, as a remote file's costs a request."""
    chunks, left = [], max_bytes
    with open(location, "rb") if is_local(location) else tf.io.gfile.GFile(location, "rb") as file:
        while chunk := file.read(min(CHUNK_BYTES, left + 1)):
            chunks.append(chunk)
            left -= len(chunk)
            if left < 0:
                return None
    return b"".join(chunks)


def root_of(source: str) -> str:
    """The folder or file that a source names: absolute and without links if it is local."""
    return os.path.realpath(os.path.expanduser(source)) if is_local(source) else source.rstrip("/")


# Local paths go through os, not tf.io.gfile: file names need not be UTF-8, and only os tells links from files.


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's file system."""
    return "://" not in path


def is_folder(path: str) -> bool:
    """Whether there is a folder at a local or remote path.

    Raises:
      SourceUnreachable: a remote path cannot be asked about.
    """
    return os.path.isdir(path) if is_local(path) else remote.is_folder(path)


def exists(path: str) -> bool:
    """Whether there is a file or folder at a local or remote path.

    Raises:
      SourceUnreachable: a remote path cannot be asked about.
    """
    return os.path.exists(path) if is_local(path) else remote.exists(path)


def join(above: str, name: str) -> str:
    """The path of `name` in the folder `above`, which may be ""."""
    return f"{above.rstrip('/')}/{name}" if above else name


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return LINK
    if stat.S_ISDIR(mode):
        return FOLDER
    return FILE if stat.S_ISREG(mode) else OTHER


def _kind_of_entry(entry: os.DirEntry) -> str:
    """The kind of a local entry. The listing has it, so that nothing is asked again for each of many files."""
    if entry.is_symlink():
        return LINK
    if entry.is_dir(follow_symlinks=False):
        return FOLDER
    return FILE if entry.is_file(follow_symlinks=False) else OTHER


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}".splitlines()[0][:200]
