"""`flowers registry`: the versions of a registry, and its champion. `registry` is any backend, local or on Google Cloud."""

import argparse
import getpass
import re

import pipeline_config
from cli import arguments, registry_page, registry_versions
from cli.arguments import ExitStatus, add_root, examples
from cli.console import without_library_noise
from cli.registry_versions import wrong
from contracts.layout import Layout
from contracts.text import visible
from pipeline_config import require
from registry import lifecycle, mlflow_backend, reading
from registry.backend import Backend, RegistryError
from registry.champions import ChampionChange
from vertex.target import BUCKET, require_place


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    registry = verbs.add_parser("registry", help="show the model registry, choose its champion",
                                description="Shows the model registry and chooses its champion.",
                                **examples("list", 'promote 3 --reason "better on roses"'))  # fmt: skip
    actions = registry.add_subparsers(title="actions", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="a table of all versions, and the history of champions")
    listing.set_defaults(verb=lambda parsed: registry_versions.list_versions(_open(parsed)))

    showing = actions.add_parser("show", help="lineage, figures and standing of one version")
    _add_version(showing)
    showing.set_defaults(verb=lambda parsed: registry_versions.show(_open(parsed), parsed.version))

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

    pruning = actions.add_parser("prune", help="delete old versions, never the champion, the one before it or the best so far")
    pruning.add_argument("--keep", required=True, type=_count, metavar="N", help="how many of the newest versions to keep")
    pruning.add_argument("--dry-run", action="store_true", help="only print what would be deleted")
    pruning.set_defaults(verb=lambda parsed: prune(_open(parsed), parsed.keep, parsed.dry_run))

    repairing = actions.add_parser("repair", help="complete what a crash, a move of DIR or an earlier release left, as a run does")
    repairing.set_defaults(verb=lambda parsed: repair(_open(parsed)))

    for action in (listing, showing, verifying, promoting, rolling_back, pruning, repairing):
        _add_place(action)

    page = actions.add_parser("ui", help="serve MLflow's page of the registry, to this machine only")
    page.add_argument("--port", type=int, default=registry_page.PORT, metavar="PORT",
                      help="port on localhost (default: %(default)s)")  # fmt: skip
    page.set_defaults(verb=lambda parsed: registry_page.serve(Layout.at(parsed.root).registry, parsed.port))
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

    opened = open_registry(_place(parsed), name)
    if not parsed.vertex:
        mlflow_backend.relocate(opened.place)
    return opened


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


def verify(registry: Backend, wanted: list[str]) -> ExitStatus:
    """Recomputes the hashes of the given versions, or of all, and prints every difference.

    Returns:
      FINISHED if nothing differs, NODE_FAILED (1) otherwise.
    """
    try:
        chosen = [reading.get_version(registry, one) for one in wanted] or registry.versions()
    except RegistryError as error:
        return wrong(error)
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
        return wrong(error)
    print(_changed(change) if change else f"{wanted} is already the champion of {registry.name}; nothing changed")
    return ExitStatus.FINISHED


def rollback(registry: Backend, reason: str) -> ExitStatus:
    """Makes the previous champion champion again."""
    try:
        with without_library_noise():
            change = lifecycle.rollback(registry, _by("rollback"), reason)
    except RegistryError as error:
        return wrong(error)
    print(_changed(change))
    print(f"The next run is judged against it. Version {change.previous} stays registered, but no run makes it champion again.")
    return ExitStatus.FINISHED


def prune(registry: Backend, keep: int, dry_run: bool) -> ExitStatus:
    """Deletes all versions but the newest `keep`, the champion, the one before it and the best; prints what was deleted and kept."""
    with without_library_noise():
        pruning = lifecycle.prune(registry, keep, dry_run)
    for version, why in pruning.kept.items():
        print(f"version {version}: kept ({why})")
    for version in pruning.pruned:
        print(f"version {version.version}: {'would be deleted' if dry_run else 'deleted'} ({version.path})")
    if not pruning.pruned:
        print("nothing to delete")
    return ExitStatus.FINISHED


def repair(registry: Backend) -> ExitStatus:
    """Completes what is unfinished, and gives versions of earlier releases what makes them models of MLflow."""
    with without_library_noise():
        completed = lifecycle.repair(registry)
    for version in completed:
        print(f"version {version.version}: is a model of MLflow now ({version.path})")
    print(f"{registry.name} at {registry.place} is in order; `flowers registry verify` compares its files")
    return ExitStatus.FINISHED


def _changed(change: ChampionChange) -> str:
    return f"version {change.version} is champion now, in place of version {change.previous or 'none'}; recorded at {change.at}"


def _by(action: str) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "a user without a name"
    return f"flowers registry {action}, {user}"
