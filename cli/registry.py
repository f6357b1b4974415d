"""`flowers registry`: the versions of a registry, and its champion. `registry` is any backend, wherever it is."""

import argparse
import getpass
import re
from collections.abc import Iterator

import pipeline_config
from cli import arguments, registry_page, registry_versions
from cli.arguments import ExitStatus, add_registry, add_root, examples
from cli.console import without_library_noise
from cli.program import as_typed
from cli.registry_versions import wrong
from contracts.layout import Layout
from contracts.text import visible
from pipeline_config import require
from registry import keys, lifecycle, mlflow_backend, reading, trust
from registry.backend import Backend, RegistryError
from registry.champions import ChampionChange
from registry.trust import Finding, Standing
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

    verifying = actions.add_parser(
        "verify", help="recompute the hashes of versions and check their signatures",
        description="Recomputes the hash of every file, and checks signatures. Exit status: 0 if all is as registered and signed by a "
        "trusted key, 1 if anything differs, 6 if a version is signed by a key that is not trusted, 5 if one is not signed.",
    )  # fmt: skip
    verifying.add_argument(
        "versions", metavar="VERSION", nargs="*", help="numbers or aliases (default: all)"
    ).completer = arguments.versions
    verifying.add_argument("--key", metavar="FILE", help="the only public key whose signature counts (default: those in DIR/keys/trusted)")
    verifying.set_defaults(verb=lambda parsed: verify(_open(parsed), parsed.versions, parsed.key))

    signing = actions.add_parser("sign", help="sign a version that is registered already: vouch for it as it is")
    _add_version(signing)
    signing.add_argument("--key", default="", metavar="FILE", help="private key (default: DIR/keys/signing.pem, made if it is missing)")
    signing.set_defaults(verb=lambda parsed: sign(_open(parsed), parsed.version, parsed.key))

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

    for action in (listing, showing, verifying, signing, promoting, rolling_back, pruning, repairing):
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
    add_registry(action)
    action.add_argument("--name", default=pipeline_config.Registry().name, help="registered model (default: %(default)s)")
    action.add_argument("--vertex", action="store_true", help="the Vertex AI Model Registry instead of the one below --root")
    action.add_argument("--project", metavar="P", help="with --vertex: id of the Google Cloud project")
    action.add_argument("--region", metavar="R", help="with --vertex: such as europe-west4")
    action.add_argument("--bucket", metavar="gs://B",
                        help="with --vertex: as for `flowers compile` (default: that of the existing versions)")  # fmt: skip


def _open(parsed: argparse.Namespace) -> Backend:
    name = pipeline_config.Registry(name=parsed.name, place=parsed.registry).name  # checked as the settings are
    from registry.opening import open_registry

    opened = open_registry(_place(parsed), name)
    if not parsed.vertex and not parsed.registry:
        mlflow_backend.relocate(opened.place)
    return opened


def _place(parsed: argparse.Namespace) -> str:
    if not parsed.vertex:
        for option in ("project", "region", "bucket"):
            require(getattr(parsed, option) is None, f"--{option}", "given with --vertex, or left out", getattr(parsed, option))
        from registry.opening import registry_place

        return registry_place(parsed.registry, Layout.at(parsed.root))
    require(not parsed.registry, "--registry", "left out with --vertex", parsed.registry)
    require_place(parsed.project or "", parsed.region or "")
    require(parsed.bucket is None or re.fullmatch(BUCKET, parsed.bucket) is not None, "--bucket",
            "gs://BUCKET or gs://BUCKET/FOLDER, without a slash at the end", parsed.bucket)  # fmt: skip
    from registry.vertex_backend import vertex_place

    return vertex_place(parsed.project, parsed.region, f"{parsed.bucket}/registry" if parsed.bucket else "")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, got {text!r}")
    return int(text)


def verify(registry: Backend, wanted: list[str], key: str | None) -> ExitStatus:
    """Recomputes the hashes of the given versions, or of all, checks their signatures, and prints every difference.

    Args:
      key: file of the only public key whose signature counts; by default those that the registry trusts.

    Returns:
      FINISHED if all are as they were registered and signed. Otherwise the worst: NODE_FAILED (1) where anything differs, ANOTHER_KEY,
      UNSIGNED.
    """
    findings = []
    try:
        trusted = dict([keys.read_public(key)]) if key else None
        for version in [reading.get_version(registry, one) for one in wanted] or registry.versions():
            with without_library_noise():
                findings.append(trust.standing(registry, version, trusted, anew=True))
            for line in _about(findings[-1], registry):
                print(line)
    except RegistryError as error:
        return wrong(error)
    counts = {standing: sum(one.standing is standing for one in findings) for standing in Standing}
    further = [f", {counts[standing]} {words}" for standing, words in
               ((Standing.ANOTHER_KEY, "signed by another key"), (Standing.UNSIGNED, "not signed")) if counts[standing]]  # fmt: skip
    print(f"{len(findings)} version{'s' if len(findings) != 1 else ''} of {registry.name} checked, {counts[Standing.TAMPERED]} damaged"
          f"{''.join(further)}")  # fmt: skip
    return next((status for standing, status in STATUS.items() if counts[standing]), ExitStatus.FINISHED)


# Of `verify`, the worst first.
STATUS = {
    Standing.TAMPERED: ExitStatus.NODE_FAILED,
    Standing.ANOTHER_KEY: ExitStatus.ANOTHER_KEY,
    Standing.UNSIGNED: ExitStatus.UNSIGNED,
}


def _about(finding: Finding, registry: Backend) -> Iterator[str]:
    number = finding.version.version
    verdict = {
        Standing.VERIFIED: f"as registered, signed by key {finding.key}",
        Standing.UNSIGNED: "as registered, NOT SIGNED",
        Standing.ANOTHER_KEY: f"as registered, SIGNED BY ANOTHER KEY, {finding.key}",
        Standing.TAMPERED: "DIFFERS from what was registered",
    }
    yield f"version {number}: {verdict[finding.standing]} ({finding.version.path})"
    for difference in finding.differences:
        yield f"  {visible(difference.path)}: {visible(difference.problem)}"
    if finding.standing is Standing.UNSIGNED:
        yield as_typed(f"  registered before versions were signed, or without a key; `flowers registry sign {number}` signs it")
    if finding.standing is Standing.ANOTHER_KEY:
        yield f"  if you trust who has that key, copy its public half into {registry.keys}/{keys.TRUSTED}"


def sign(registry: Backend, wanted: str, key: str) -> ExitStatus:
    """Signs a version, whose files must be as registered, with a private key; "" for that of the registry's DIR."""
    try:
        with without_library_noise():
            before, now = trust.sign_version(registry, wanted, key, _by("sign"))
    except RegistryError as error:
        return wrong(error)
    print(f"version {now.version.version} was {before.standing.value}; it is signed by key {now.key} now")
    return ExitStatus.FINISHED


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
