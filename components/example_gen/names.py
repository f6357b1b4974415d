"""What names mean in a folder of photographs: which folders are splits, and which files and folders are no photographs.

Upper and lower case never matter. Only names are looked at, so the rules are the same for local and remote folders.
"""

import re
import unicodedata
from collections.abc import Collection

from components.example_gen.photograph import printable
from contracts.examples import EVAL, TRAIN

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
# Files without a class, outside of such a folder, are photographs by their names alone: a licence or a labels file is none, and
# must not count as a damaged photograph.
IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif")

# What people call the two splits. Of several held-out folders, the one whose word comes first here is the eval split.
SPLIT_WORDS = {
    "train": TRAIN, "training": TRAIN,
    "eval": EVAL, "evaluation": EVAL,
    "val": EVAL, "valid": EVAL, "validation": EVAL, "validate": EVAL,
    "dev": EVAL, "development": EVAL,
    "holdout": EVAL, "heldout": EVAL,
    "test": EVAL, "testing": EVAL,
}  # fmt: skip
# They may be followed by what they are made of and by a number, as in test_set, ValData and train2017.
SPLIT = re.compile(
    rf"({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))})"
    r"(set|sets|split|part|data|dataset|dir|folder|files|images?|imgs?|photos?|photographs?|pictures?|samples?)?\d*")
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
