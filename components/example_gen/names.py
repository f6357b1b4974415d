"""What names mean in a folder of photographs: which folders are splits, and which files and folders are no photographs.

Upper and lower case never matter. Only names are looked at, so the rules are the same for local and remote folders.
"""

import fnmatch
import itertools
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from components.example_gen.recognise import ENDINGS
from contracts.examples import EVAL, TRAIN
from contracts.text import printable

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
# Files without a class, outside of such a folder, are photographs by their names alone: a licence or a labels file is none, and
# must not count as a damaged photograph.
IMAGE_ENDINGS = tuple(itertools.chain.from_iterable(ENDINGS.values()))

# What people call the two splits. Of several held-out folders, the one whose word comes first here is the eval split.
SPLIT_WORDS = {
    "train": TRAIN, "training": TRAIN, "trainval": TRAIN,
    "eval": EVAL, "evaluation": EVAL,
    "val": EVAL, "valid": EVAL, "validation": EVAL, "validate": EVAL,
    "dev": EVAL, "development": EVAL,
    "holdout": EVAL, "heldout": EVAL,
    "test": EVAL, "testing": EVAL,
}  # fmt: skip
# They may be followed by what they are made of and by a number, as in test_set, ValData and train2017.
SPLIT = re.compile(
    rf"({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))})"
    r"(set|sets|split|part|data|dataset|dir|folder|files|images?|imgs?|photos?|photographs?|pictures?|samples?)?\d*"
)
SEPARATORS = re.compile(r"[\s_.,\-]+")


def class_called(name: str) -> str:
    """The class that a folder or a label stands for: valid text, with accents spelt in one way (Unicode's NFC).

    Systems spell accents in two ways, and a name that went from one to another looks the same and is not.
    """
    return unicodedata.normalize("NFC", printable(name))


def split_of(name: str) -> str:
    """TRAIN or EVAL if `name` is what people call that split, else ""."""
    return SPLIT_WORDS.get(_split_word(name), "")


def preference(name: str) -> int:
    """The place of a name of a split among SPLIT_WORDS."""
    return list(SPLIT_WORDS).index(_split_word(name))


def _split_word(name: str) -> str:
    found = SPLIT.fullmatch(SEPARATORS.sub("", name.lower()))
    return found[1] if found else ""


def look_like_splits(classes: Collection[str]) -> bool:
    """Whether these names of classes can only be those of splits: every one is, or ends or begins with one and both splits occur.

    So `valid` and `testing` are splits, and `seg_train` with `seg_test`, but not `steam train` with `bullet train`.
    """
    whole = [split_of(name) for name in classes]
    part = [next((split for word in SEPARATORS.split(name) if (split := split_of(word))), "") for name in classes]
    return bool(classes) and (all(whole) or (all(part) and set(part) == {TRAIN, EVAL}))


def looks_like_a_photograph(name: str) -> bool:
    """Whether a name has the ending of an image."""
    return name.lower().endswith(IMAGE_ENDINGS)


def is_unlabelled(name: str) -> bool:
    """Whether a folder of this name holds photographs without labels."""
    return name.lower() in UNLABELLED_FOLDERS


# Kinds of what is passed over, in words that a list of it can follow.
SYSTEM = "hidden and system files and folders"
SIDECAR = "files about a photograph beside them"
TEXT = "texts and tables"
NO_IMAGE = "files without the ending of an image"
EMPTY = "folders without photographs"
EXCLUDED = "excluded by data.exclude"
NAMED = 3  # paths of each kind in a sentence

# Patterns of what systems, file servers and photograph managers put into folders; dots at the beginning are hidden everywhere.
SYSTEM_NAMES = re.compile("|".join(map(fnmatch.translate, (
    ".*", "thumbs.db", "ehthumbs*.db", "desktop.ini", "*:zone.identifier",  # Windows, and what WSL makes of its streams
    "$recycle.bin", "system volume information", "found.[0-9][0-9][0-9]",
    "icon\r", "__macosx", "network trash folder", "temporary items",  # macOS
    "lost+found", "lost.dir",  # Linux, Android
    "@eadir", "#recycle", "#snapshot", "@tmp", "synofile_thumb*",  # Synology
    "@recycle", "@recently-snapshot", "@__thumb",  # QNAP
    "picasa.ini", "zbthumbnail.info", "*.lrdata",  # Picasa, ZoomBrowser, Lightroom's previews
    "__pycache__",
))))  # fmt: skip
# Endings of what is kept beside a photograph under its name: descriptions, edits, checksums, what the camera took besides.
SIDECAR_ENDINGS = (
    ".json", ".xml", ".txt", ".csv", ".yaml", ".yml", ".html", ".caption", ".license",
    ".xmp", ".aae", ".thm", ".dop", ".pp3", ".cos", ".on1", ".exif", ".ini",
    ".md5", ".sha1", ".sha256", ".dvc",
    ".mov", ".mp4", ".wav",
    ".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw",
)  # fmt: skip
# Endings of text, which is no photograph whatever it stands beside: notes, lists of labels, licences, checksums of a whole folder.
TEXT_ENDINGS = (
    ".txt", ".md", ".rst", ".rtf", ".log", ".json", ".jsonl", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ini", ".html", ".htm",
    ".license", ".md5", ".sha1", ".sha256",
)  # fmt: skip


def passed_over(listed: Sequence[str], above: str, exclude: Sequence[str] = ()) -> dict[str, str]:
    """Which names in one folder are no photographs and no folders of them, each with its kind.

    Args:
      listed: all names in the folder.
      above: the folder's path relative to the source, "" for the source itself.
      exclude: patterns, see `excluded`.
    """
    about = {name for name in listed if name.lower().endswith(SIDECAR_ENDINGS)}
    named = {part for name in listed if name not in about for part in (name.lower(), name.lower().rpartition(".")[0])}
    kinds = {}
    for name in listed:
        if excluded(f"{above}/{name}" if above else name, exclude):
            kinds[name] = EXCLUDED
        elif SYSTEM_NAMES.match(name.lower()):
            kinds[name] = SYSTEM
        elif name in about and any(part in named for part in _beginnings(name.lower())):
            kinds[name] = SIDECAR
        elif name.lower().endswith(TEXT_ENDINGS):
            kinds[name] = TEXT
    return kinds


def _beginnings(name: str) -> list[str]:
    """What of a name stands before each of its dots: `a.jpg` and `a` of `a.jpg.json`."""
    return [name[:place] for place, character in enumerate(name) if character == "." and place]


def excluded(path: str, exclude: Sequence[str]) -> bool:
    """Whether a file or folder matches one of the glob patterns of `data.exclude`.

    A pattern with a slash is compared with the path relative to the source, and `*` matches slashes too; one without is compared
    with the name alone, at any depth.
    """
    path = class_called(path).lower()
    name = path.rpartition("/")[2]
    for pattern in exclude:
        pattern = unicodedata.normalize("NFC", pattern).lower().strip("/")
        if fnmatch.fnmatchcase(path if "/" in pattern else name, pattern):
            return True
    return False


def not_read(paths: Mapping[str, str]) -> list[str]:
    """Part of a sentence for each kind of what was passed over: how many, and the first few.

    Args:
      paths: the kind of each path.
    """
    by_kind: dict[str, list[str]] = {}
    for path in sorted(paths):
        by_kind.setdefault(paths[path], []).append(printable(path))
    return [
        f"{kind} ({len(found):,}): {', '.join(found[:NAMED])}" + (f" and {len(found) - NAMED:,} more" if len(found) > NAMED else "")
        for kind, found in sorted(by_kind.items())
    ]
