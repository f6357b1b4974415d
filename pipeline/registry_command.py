"""`flowers registry list|show|verify`: what the actions print and return. Called by pipeline/verbs/registry.py.

`registry` is everywhere a backend (`components.registry.backend`), local or not: nothing here knows where it is kept.
"""

import sys

import rich.console
from rich.table import Table

from components.registry import reading
from components.registry.backend import Backend
from components.registry.version import RegistryError, Version
from pipeline.console import without_library_noise
from pipeline.exit_status import ExitStatus

# Columns of the list: title, and the tag that fills it.
LISTED = (("accuracy", "accuracy"), ("untrained", "floor"), ("judged against", "baseline_version"), ("data", "data_source"),
          ("run", "run_id"))  # fmt: skip


def list_versions(registry: Backend) -> ExitStatus:
    """Prints a table of all versions, oldest first."""
    versions = registry.versions()
    if not versions:
        print(f"No versions of {registry.name} at {registry.place} yet; `flowers run` registers the first.")
        return ExitStatus.FINISHED
    table = Table(title=f"{registry.name} at {registry.place}", title_justify="left")
    for title in ("version", "alias", *(title for title, _ in LISTED), "registered (UTC)"):
        table.add_column(title)
    for version in versions:
        table.add_row(
            version.version, ", ".join(version.aliases), *(_tag(version, tag) for _, tag in LISTED),
            f"{version.created:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    _terminal().print(table, markup=False)
    return ExitStatus.FINISHED


def show(registry: Backend, wanted: str) -> ExitStatus:
    """Prints everything that is known of one version, given by number or alias."""
    try:
        version = reading.get_version(registry, wanted)
    except RegistryError as error:
        return _wrong(error)
    lines = {
        "name": version.name,
        "version": version.version,
        "aliases": ", ".join(version.aliases) or "none",
        "registered": f"{version.created:%Y-%m-%d %H:%M:%S} UTC",
        "files": version.path,
        **dict(sorted(version.tags.items())),
    }
    width = max(map(len, lines))
    for title, text in lines.items():
        print(f"{title:<{width}}  {text}")
    return ExitStatus.FINISHED


def verify(registry: Backend, wanted: list[str]) -> ExitStatus:
    """Recomputes the hashes of the given versions, or of all, and prints every difference.

    Returns:
      FINISHED where all is as registered, NODE_FAILED (1) otherwise.
    """
    try:
        chosen = [reading.get_version(registry, one) for one in wanted] or registry.versions()
    except RegistryError as error:
        return _wrong(error)
    damaged = 0
    for version in chosen:
        with without_library_noise():
            differences = reading.verify(version)
        damaged += bool(differences)
        verdict = "DIFFERS from what was registered" if differences else "as registered"
        print(f"version {version.version}: {verdict} ({version.path})")
        for difference in differences:
            print(f"  {difference.path}: {difference.problem}")
    print(f"{len(chosen)} version{'s' if len(chosen) != 1 else ''} of {registry.name} checked, {damaged} damaged")
    return ExitStatus.NODE_FAILED if damaged else ExitStatus.FINISHED


def _tag(version: Version, tag: str) -> str:
    text = version.tags.get(tag, "")
    return f"{float(text):.1%}" if tag in ("accuracy", "floor") and text else text


def _terminal() -> rich.console.Console:
    return rich.console.Console(width=None if sys.stdout.isatty() else 160)


def _wrong(error: RegistryError) -> ExitStatus:
    print(f"flowers: {error}", file=sys.stderr)
    return ExitStatus.BAD_ARGUMENTS
