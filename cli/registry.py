"""`flowers registry`: the versions of a registry, and its champion. `registry` is any backend, local or on Google Cloud."""

import argparse
import getpass
import json
import os
import pathlib
import posixpath
import re
import socket
import sys
from collections.abc import Iterator

import rich.console
from rich.table import Table
from rich.text import Text

import pipeline_config
from cli import arguments
from cli.arguments import ExitStatus, add_root, examples
from cli.console import without_library_noise
from cli.program import as_typed
from contracts.layout import Layout
from contracts.text import percent, visible
from pipeline_config import require
from registry import champions, lifecycle, mlflow_backend, reading, schema
from registry.backend import (
    ACCURACY,
    BASELINE_VERSION,
    BEST_VERSION,
    CHAMPION,
    CONTENT_HASH,
    EVAL_SPLIT,
    FIGURE,
    PROBE_CONTENT_HASH,
    RUN_ID,
    WITHHELD,
    Backend,
    RegistryError,
    Version,
)
from registry.champions import ChampionChange
from vertex.target import BUCKET, require_place

# MLflow's own default.
PORT = 5000


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    registry = verbs.add_parser("registry", help="show the model registry, choose its champion",
                                description="Shows the model registry and chooses its champion.",
                                **examples("list", 'promote 3 --reason "better on roses"'))  # fmt: skip
    actions = registry.add_subparsers(title="actions", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="a table of all versions, and the history of champions")
    listing.set_defaults(verb=lambda parsed: list_versions(_open(parsed)))

    showing = actions.add_parser("show", help="lineage, figures and standing of one version")
    _add_version(showing)
    showing.set_defaults(verb=lambda parsed: show(_open(parsed), parsed.version))

    verifying = actions.add_parser("verify", help="recompute the hashes of versions; exit status 1 if anything differs")
    verifying.add_argument("versions", metavar="VERSION", nargs="*", help="numbers or aliases (default: all)").completer = (
        arguments.versions)
    verifying.set_defaults(verb=lambda parsed: verify(_open(parsed), parsed.versions))

    promoting = actions.add_parser("promote", help="make a version champion by hand")
    _add_version(promoting)
    promoting.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the registry")
    promoting.set_defaults(verb=lambda parsed: promote(_open(parsed), parsed.version, parsed.reason))

    rolling_back = actions.add_parser("rollback", help="return to the previous champion")
    rolling_back.add_argument("--reason", required=True, metavar="TEXT", help="why; kept in the registry")
    rolling_back.set_defaults(verb=lambda parsed: rollback(_open(parsed), parsed.reason))

    pruning = actions.add_parser("prune", help="delete old versions, never the champion or the one before it")
    pruning.add_argument("--keep", required=True, type=_count, metavar="N", help="how many of the newest versions to keep")
    pruning.add_argument("--dry-run", action="store_true", help="only print what would be deleted")
    pruning.set_defaults(verb=lambda parsed: prune(_open(parsed), parsed.keep, parsed.dry_run))

    for action in (listing, showing, verifying, promoting, rolling_back, pruning):
        _add_place(action)

    page = actions.add_parser("ui", help="serve MLflow's page of the registry, to this machine only")
    page.add_argument("--port", type=int, default=PORT, metavar="PORT", help="port on localhost (default: %(default)s)")
    page.set_defaults(verb=lambda parsed: serve(Layout.at(parsed.root).registry, parsed.port))
    add_root(page)


def _add_version(action: argparse.ArgumentParser) -> None:
    version = action.add_argument("version", metavar="VERSION", help="a number, or an alias such as champion")
    version.completer = arguments.versions


def _add_place(action: argparse.ArgumentParser) -> None:
    """Adds the options that choose a registry, which `_open` reads."""
    add_root(action)
    action.add_argument("--name", default=pipeline_config.Registry().name, help="registered model (default: %(default)s)")
    action.add_argument("--vertex", action="store_true", help="the Vertex AI Model Registry instead of the one below --root")
    action.add_argument("--project", metavar="P", help="with --vertex: id of the Google Cloud project")
    action.add_argument("--region", metavar="R", help="with --vertex: such as europe-west4")
    action.add_argument("--bucket", metavar="gs://B",
                        help="with --vertex: as for `flowers compile` (default: that of the existing versions)")  # fmt: skip


def _open(parsed: argparse.Namespace) -> Backend:
    name = pipeline_config.Registry(name=parsed.name).name  # checked as the setting is
    from registry.opening import open_registry

    return open_registry(_place(parsed), name)


def _place(parsed: argparse.Namespace) -> str:
    if not parsed.vertex:
        for option in ("project", "region", "bucket"):
            require(getattr(parsed, option) is None, f"--{option}", "given with --vertex, or left out", getattr(parsed, option))
        return str(Layout.at(parsed.root).registry)
    require_place(parsed.project or "", parsed.region or "")
    require(parsed.bucket is None or re.fullmatch(BUCKET, parsed.bucket) is not None, "--bucket",
            "gs://BUCKET or gs://BUCKET/FOLDER, without a slash at the end", parsed.bucket)  # fmt: skip
    from registry.vertex_backend import vertex_place

    return vertex_place(parsed.project, parsed.region, f"{parsed.bucket}/registry" if parsed.bucket else "")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, got {text!r}")
    return int(text)


# The lineage, from the data to the version: title, and the tags that identify it, each with its name.
LINEAGE = (
    ("data", (("", "data_source"), ("fingerprint", "data_fingerprint"))),
    ("run", (("", RUN_ID), ("code:", "code_version"), ("recipe", "recipe"))),
    ("probe", (("content hash", PROBE_CONTENT_HASH), ("artifact", "mlmd_probe_id"))),
    ("evaluation", (("eval split", EVAL_SPLIT), ("artifact", "mlmd_evaluation_id"), ("blessing", "mlmd_blessing_id"))),
    ("backbone", (("content hash", CONTENT_HASH), ("artifact", "mlmd_backbone_id"))),
)
# Figures on the eval split: title, its tag, and the tag of its random-init baseline.
FIGURES = (("linear top-1", ACCURACY, "floor"), ("kNN top-1", "knn", "knn_floor"))
SHOWN = {tag for _, tags in LINEAGE for _, tag in tags} | {tag for _, *tags in FIGURES for tag in tags}
SHOWN |= {"reasons", "gate", BASELINE_VERSION, BEST_VERSION, FIGURE, WITHHELD, "eval_examples"}


def lines(version: Version, history: list[ChampionChange]) -> Iterator[str]:
    """What `show` prints, line by line."""
    yield f"{version.name} version {version.version}{''.join(f', {alias}' for alias in version.aliases)}"
    yield f"  registered    {version.created:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  files         {version.path}"
    yield f"  model card    {posixpath.join(version.path, 'MODEL_CARD.md')}"
    yield "Lineage"
    for title, tags in LINEAGE:
        known = [f"{name} {version.tags[tag]}".strip() for name, tag in tags if version.tags.get(tag)]
        for position, text in enumerate(known or ["not recorded"]):
            yield f"  {title if position == 0 else '':<12}  {text}"
    examples = version.tags.get("eval_examples")
    yield f"Figures on {examples or 'the'} held-out photographs; random-init baseline: the same network untrained"
    for title, tag, random_init in FIGURES:
        if version.tags.get(tag):
            yield f"  {title:<12}  {_percent(version, tag)}; random-init baseline {_percent(version, random_init)}"
    yield f"The gate's verdict, judged against {_baseline(version)}"
    yield from (f"  - {reason}" for reason in json.loads(version.tags.get("reasons", "[]")))
    yield "Standing"
    yield from (f"  {text}" for text in standing(version, history))
    others = sorted(version.tags.keys() - SHOWN)
    if others:
        yield "Other tags"
        yield from (f"  {tag:<12}  {version.tags[tag]}" for tag in others)


def standing(version: Version, history: list[ChampionChange]) -> Iterator[str]:
    """Every change by which the version became or ceased to be champion, oldest first; or why it never was champion."""
    changes = [entry for entry in history if version.version in (entry.version, entry.previous)]
    for entry in changes:
        became = entry.version == version.version
        what = f"champion ({entry.kind})" if became else f"replaced by version {entry.version or 'none'} ({entry.kind})"
        yield f"{when(entry.at)} UTC  {what} by {entry.by}: {entry.reason}"
    if not changes and CHAMPION not in version.aliases:
        yield f"never champion: {version.tags.get(WITHHELD) or 'its publication was interrupted; repeat the run to complete it'}"


def when(at: str) -> str:
    """An ISO 8601 instant in UTC, as shown in tables."""
    return at.removesuffix("+00:00").replace("T", " ")


def _percent(version: Version, tag: str) -> str:
    return percent(float(version.tags[tag])) if version.tags.get(tag) else "not measured"


def _baseline(version: Version) -> str:
    baseline = version.tags.get(BASELINE_VERSION)
    if not baseline:
        return "the random-init baseline alone; there was no champion"
    best = version.tags.get(BEST_VERSION)
    return f"champion version {baseline}" + (f" and the best version so far, {best}" if best else "")


# Columns of the list: title, and the tag that fills it.
LISTED = (("accuracy", ACCURACY), ("random-init", "floor"), ("judged against", "baseline_version"), ("data", "data_source"),
          ("run", RUN_ID))  # fmt: skip


def list_versions(registry: Backend) -> ExitStatus:
    """Prints a table of all versions, oldest first, and the history of champions."""
    versions = registry.versions()
    if not versions:
        print(as_typed(f"No versions of {registry.name} at {registry.place} yet; `flowers run` registers the first."))
        return ExitStatus.FINISHED
    history = champions.history_of(registry.model_tags(), reading.champion_of(versions))
    columns = ("version", "standing", *(title for title, _ in LISTED), "registered (UTC)")
    table = _table(f"{registry.name} at {registry.place}", *columns)
    for version in versions:
        _add(table, version.version, _standing(version, versions, history), *(_tag(version, tag) for _, tag in LISTED),
             f"{version.created:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    changes = _table("Champions", "since (UTC)", "version", "how", "by", "why")
    for entry in history:
        _add(changes, when(entry.at), entry.version or "none", entry.kind, entry.by, entry.reason)
    terminal = rich.console.Console(width=None if sys.stdout.isatty() else 160)
    terminal.print(table)
    terminal.print(changes)
    return ExitStatus.FINISHED


def show(registry: Backend, wanted: str) -> ExitStatus:
    """Prints everything that is known about one version, given by number or alias."""
    try:
        version = reading.get_version(registry, wanted)
    except RegistryError as error:
        return _wrong(error)
    history = champions.history_of(registry.model_tags(), reading.champion(registry))
    for text in lines(version, history):
        print(visible(text))
    return ExitStatus.FINISHED


def verify(registry: Backend, wanted: list[str]) -> ExitStatus:
    """Recomputes the hashes of the given versions, or of all, and prints every difference.

    Returns:
      FINISHED if nothing differs, NODE_FAILED (1) otherwise.
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
    """Makes a version champion if its files are as registered."""
    try:
        with without_library_noise():
            change = lifecycle.promote(registry, wanted, _by("promote"), reason)
    except RegistryError as error:
        return _wrong(error)
    print(_changed(change) if change else f"{wanted} is already the champion of {registry.name}; nothing changed")
    return ExitStatus.FINISHED


def rollback(registry: Backend, reason: str) -> ExitStatus:
    """Makes the previous champion champion again."""
    try:
        with without_library_noise():
            change = lifecycle.rollback(registry, _by("rollback"), reason)
    except RegistryError as error:
        return _wrong(error)
    print(_changed(change))
    print(f"The next run is judged against it. Version {change.previous} stays registered, but no run makes it champion again.")
    return ExitStatus.FINISHED


def prune(registry: Backend, keep: int, dry_run: bool) -> ExitStatus:
    """Deletes all versions but the newest `keep`, the champion and the one before it, and prints what was deleted and kept."""
    with without_library_noise():
        pruning = lifecycle.prune(registry, keep, dry_run)
    for version, why in pruning.kept.items():
        print(f"version {version}: kept ({why})")
    for version in pruning.pruned:
        print(f"version {version.version}: {'would be deleted' if dry_run else 'deleted'} ({version.path})")
    if not pruning.pruned:
        print("nothing to delete")
    return ExitStatus.FINISHED


def _changed(change: ChampionChange) -> str:
    return f"version {change.version} is champion now, in place of version {change.previous or 'none'}; recorded at {change.at}"


def _standing(version: Version, versions: list[Version], history: list[ChampionChange]) -> str:
    if CHAMPION in version.aliases:
        return ", ".join(version.aliases)
    former = champions.predecessor(history, versions)
    if former is not None and former.version == version.version:
        return "previous champion"
    ended = champions.ending(history, version.version)
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
    return percent(float(text)) if tag in (ACCURACY, "floor") and text else text


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


HOST = "127.0.0.1"

ENVIRONMENT = {
    # No usage reports from server or page.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow's background jobs evaluate language models: useless here, and they start processes.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def command(directory: pathlib.Path, port: int) -> list[str]:
    """The command that serves the registry in `directory` (DIR/registry) at HOST:port.

    Raises:
      ConfigurationError: there is no registry, or the port is taken.
      RegistryError: another MLflow wrote it.
    """
    require(mlflow_backend.exists(str(directory)), "--root", "a directory with a registry; `flowers run` makes one",
            str(directory.parent))  # fmt: skip
    schema.require_usable(database := str(directory / mlflow_backend.DATABASE))
    require(0 < port < 65536 and _is_free(port), "--port", "a free port, 1 to 65535", port)
    return [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", schema.uri(database),
        # The page shows what is registered; files are neither served nor taken.
        "--no-serve-artifacts", "--default-artifact-root", str(directory / "mlflow-artifacts"),
    ]  # fmt: skip


def serve(directory: pathlib.Path, port: int) -> None:
    """Serves the page in the foreground until Ctrl-C. Does not return: this process becomes MLflow's.

    Raises:
      ConfigurationError: see `command`.
    """
    arguments = command(directory, port)
    print(f"The registry at {directory}: http://{HOST}:{port}/#/models (Ctrl-C ends it)", flush=True)
    os.chdir(directory)  # MLflow writes some files into the working directory
    os.execve(sys.executable, arguments, {**os.environ, **ENVIRONMENT})


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
