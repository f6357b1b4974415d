"""`flowers registry list|show|verify`: reads the registry of one DIR. Called by the command line; changes nothing."""

import sys

import rich.console
from rich.table import Table

from components.registry import local as registry
from components.registry.version import RegistryError, Version
from pipeline.console import without_library_noise
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout

# Columns of the list: title, and the tag that fills it.
LISTED = (("accuracy", "accuracy"), ("untrained", "floor"), ("judged against", "baseline_version"), ("data", "data_source"),
          ("run", "run_id"))  # fmt: skip


def list_versions(layout: Layout, name: str) -> ExitStatus:
    """Prints a table of all versions, oldest first."""
    versions = registry.list_versions(str(layout.registry), name)
    if not versions:
        print(f"No versions of {name} below {layout.registry} yet; `flowers run` registers the first.")
        return ExitStatus.FINISHED
    table = Table(title=f"{name} in {layout.registry}", title_justify="left")
    for title in ("version", "alias", *(title for title, _ in LISTED), "registered (UTC)"):
        table.add_column(title)
    for version in versions:
        table.add_row(
            version.version, ", ".join(version.aliases), *(_tag(version, tag) for _, tag in LISTED),
            f"{version.created:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    _terminal().print(table, markup=False)
    return ExitStatus.FINISHED


def show(layout: Layout, name: str, wanted: str) -> ExitStatus:
    """Prints everything that is known of one version, given by number or alias."""
    try:
        version = registry.get_version(str(layout.registry), name, wanted)
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


def verify(layout: Layout, name: str, wanted: list[str]) -> ExitStatus:
    """Recomputes the hashes of the given versions, or of all, and prints every difference.

    Returns:
      FINISHED where all is as registered, NODE_FAILED (1) otherwise.
    """
    directory = str(layout.registry)
    try:
        chosen = [registry.get_version(directory, name, one) for one in wanted] or registry.list_versions(directory, name)
    except RegistryError as error:
        return _wrong(error)
    damaged = 0
    for version in chosen:
        with without_library_noise():
            differences = registry.verify(directory, name, version.version)
        damaged += bool(differences)
        verdict = "DIFFERS from what was registered" if differences else "as registered"
        print(f"version {version.version}: {verdict} ({version.path})")
        for difference in differences:
            print(f"  {difference.path}: {difference.problem}")
    print(f"{len(chosen)} version{'s' if len(chosen) != 1 else ''} of {name} checked, {damaged} damaged")
    return ExitStatus.NODE_FAILED if damaged else ExitStatus.FINISHED


def _tag(version: Version, tag: str) -> str:
    text = version.tags.get(tag, "")
    return f"{float(text):.1%}" if tag in ("accuracy", "floor") and text else text


def _terminal() -> rich.console.Console:
    return rich.console.Console(width=None if sys.stdout.isatty() else 160)


def _wrong(error: RegistryError) -> ExitStatus:
    print(f"flowers: {error}", file=sys.stderr)
    return ExitStatus.BAD_ARGUMENTS
