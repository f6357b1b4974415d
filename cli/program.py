"""How the user started `flowers`, so that commands in messages can be typed as they are: it may not be on the PATH."""

import os
import shutil
import sys

NAME = "flowers"


def typed() -> str:
    """`flowers`, or its path where a path was typed."""
    path = sys.argv[0]
    return path if os.path.basename(path) == NAME and path != shutil.which(NAME) else NAME


def as_typed(text: str) -> str:
    """`text`, in which a command in backticks begins as the user's own did."""
    return text.replace(f"`{NAME} ", f"`{typed()} ")
