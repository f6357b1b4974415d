"""The verbs of the command line, a file each: `add(verbs)` declares its arguments and names the function that does the work.

A new verb is a new file here; nothing lists them. Importing one must be cheap, as every start of `flowers` imports all: what
does the work is imported when it is called.
"""

import argparse
import importlib
import pkgutil

# What a newcomer looks for first; the others follow by name.
FIRST = ("run",)


def add_all(parser: argparse.ArgumentParser) -> None:
    """Adds every verb to `parser`."""
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    names = sorted((module.name for module in pkgutil.iter_modules(__path__)), key=lambda name: (name not in FIRST, name))
    for name in names:
        importlib.import_module(f"{__name__}.{name}").add(verbs)
