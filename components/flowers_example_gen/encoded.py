"""What every source hands on: one image file as it was found, not yet decoded. Sources produce it, `records` consumes it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Encoded:
    """`path` is relative to the source; `split` is "train", "eval" or "" where the source does not say.

    `data` holds the file's bytes, unless the source could not hand them over: then `reason` and `detail` say why.
    """

    path: str
    class_name: str
    split: str
    data: bytes = b""
    reason: str = ""
    detail: str = ""


def printable(name: str) -> str:
    """A file name as valid UTF-8: bytes that are none appear as `\\xNN`, so that report and records can hold any name."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
