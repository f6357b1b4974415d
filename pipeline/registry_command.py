"""What the actions of `flowers registry` print and return. Called by pipeline/verbs/registry.py.

`registry` is everywhere a backend (`components.registry.backend`), local or not: nothing here knows where it is kept. What `show`
prints is worked out by `registry_show`; `ui` is `registry_page`.
"""

import getpass
import sys

import rich.console
from rich.table import Table
from rich.text import Text

from components.registry import champions, lifecycle, reading
from components.registry.backend import Backend
from components.registry.champions import Succession
from components.registry.version import ACCURACY, CHAMPION, RUN_ID, WITHHELD, RegistryError, Version
from pipeline import registry_show
from pipeline.console import without_library_noise
from pipeline.exit_status import ExitStatus
from pipeline.registry_show import when
from pipeline.text import visible

# Columns of the list: title, and the tag that fills it.
LISTED = (("accuracy", ACCURACY), ("untrained", "floor"), ("judged against", "baseline_version"), ("data", "data_source"),
          ("run", RUN_ID))  # fmt: skip


def list_versions(registry: Backend) -> ExitStatus:
    """Prints a table of all versions, oldest first, and the line of champions."""
    versions = registry.versions()
    if not versions:
        print(f"No versions of {registry.name} at {registry.place} yet; `flowers run` registers the first.")
        return ExitStatus.FINISHED
    line = champions.line_of(registry.model_tags(), reading.champion_of(versions))
    columns = ("version", "standing", *(title for title, _ in LISTED), "registered (UTC)")
    table = _table(f"{registry.name} at {registry.place}", *columns)
    for version in versions:
        _add(table, version.version, _standing(version, versions, line), *(_tag(version, tag) for _, tag in LISTED),
             f"{version.created:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    succession = _table("Champions", "since (UTC)", "version", "how", "by", "why")
    for entry in line:
        _add(succession, when(entry.at), entry.version or "none", entry.kind, entry.by, entry.reason)
    terminal = rich.console.Console(width=None if sys.stdout.isatty() else 160)
    terminal.print(table)
    terminal.print(succession)
    return ExitStatus.FINISHED


def show(registry: Backend, wanted: str) -> ExitStatus:
    """Prints everything that is known of one version, given by number or alias."""
    try:
        version = reading.get_version(registry, wanted)
    except RegistryError as error:
        return _wrong(error)
    line = champions.line_of(registry.model_tags(), reading.champion(registry))
    for text in registry_show.lines(version, line):
        print(visible(text))
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
            print(f"  {visible(difference.path)}: {visible(difference.problem)}")
    print(f"{len(chosen)} version{'s' if len(chosen) != 1 else ''} of {registry.name} checked, {damaged} damaged")
    return ExitStatus.NODE_FAILED if damaged else ExitStatus.FINISHED


def promote(registry: Backend, wanted: str, reason: str) -> ExitStatus:
    """Makes a version champion after its files were compared with what was registered."""
    try:
        with without_library_noise():
            change = lifecycle.promote(registry, wanted, _by("promote"), reason)
    except RegistryError as error:
        return _wrong(error)
    print(_changed(change) if change else f"{wanted} is the champion of {registry.name} already; nothing was changed")
    return ExitStatus.FINISHED


def rollback(registry: Backend, reason: str) -> ExitStatus:
    """Makes the previous champion champion again."""
    try:
        with without_library_noise():
            change = lifecycle.rollback(registry, _by("rollback"), reason)
    except RegistryError as error:
        return _wrong(error)
    print(_changed(change))
    print("The next run is judged against it. The version rolled back from stays registered, and no run makes it champion again.")
    return ExitStatus.FINISHED


def prune(registry: Backend, keep: int, dry_run: bool) -> ExitStatus:
    """Deletes versions but the newest `keep`, the champion and the one before it, and prints what went and what stayed."""
    with without_library_noise():
        pruning = lifecycle.prune(registry, keep, dry_run)
    for version, why in pruning.kept.items():
        print(f"version {version}: kept ({why})")
    for version in pruning.pruned:
        print(f"version {version.version}: {'would be deleted' if dry_run else 'deleted'} ({version.path})")
    if not pruning.pruned:
        print("nothing to delete")
    return ExitStatus.FINISHED


def _changed(change: Succession) -> str:
    return f"version {change.version} is champion now, in place of version {change.previous or 'none'}; recorded at {change.at}"


def _standing(version: Version, versions: list[Version], line: list[Succession]) -> str:
    if CHAMPION in version.aliases:
        return ", ".join(version.aliases)
    former = champions.predecessor(line, versions)
    if former is not None and former.version == version.version:
        return "champion before"
    ended = champions.ending(line, version.version)
    if ended is not None:
        return "rolled back from" if ended.kind == champions.ROLLED_BACK else "former champion"
    return "withheld" if version.tags.get(WITHHELD) else ", ".join(version.aliases)


def _by(action: str) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "a user without a name"
    return f"flowers registry {action}, {user}"


def _tag(version: Version, tag: str) -> str:
    text = version.tags.get(tag, "")
    return f"{float(text):.1%}" if tag in (ACCURACY, "floor") and text else text


def _table(title: str, *columns: str) -> Table:
    # Text throughout: names of files and reasons are not markup.
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(visible(cell)) for cell in cells))


def _wrong(error: RegistryError) -> ExitStatus:
    print(f"flowers: {error}", file=sys.stderr)
    return ExitStatus.BAD_ARGUMENTS
