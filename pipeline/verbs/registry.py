"""Arguments of `flowers registry` and its actions."""

import argparse
import re
from typing import TYPE_CHECKING

import pipeline_config
from pipeline import completers
from pipeline.arguments import add_root
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout
from pipeline.vertex_target import BUCKET, require_place
from pipeline_config import require

if TYPE_CHECKING:
    from components.registry.backend import Backend

# MLflow's own default.
PORT = 5000


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    registry = verbs.add_parser("registry", help="look at the model registry, choose its champion",
                                description="Looks at the model registry and chooses its champion.")  # fmt: skip
    actions = registry.add_subparsers(title="actions", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="a table of all versions, and the champions so far")
    listing.set_defaults(verb=_list)

    showing = actions.add_parser("show", help="lineage, figures and standing of one version")
    _add_version(showing)
    showing.set_defaults(verb=_show)

    verifying = actions.add_parser("verify", help="recompute the hashes of versions; exit status 1 where anything differs")
    verifying.add_argument("versions", metavar="VERSION", nargs="*", help="numbers or aliases (default: all)").completer = (
        completers.versions)
    verifying.set_defaults(verb=_verify)

    promoting = actions.add_parser("promote", help="make a version champion by hand")
    _add_version(promoting)
    promoting.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the registry")
    promoting.set_defaults(verb=_promote)

    rolling_back = actions.add_parser("rollback", help="back to the previous champion")
    rolling_back.add_argument("--reason", required=True, metavar="TEXT", help="why; kept in the registry")
    rolling_back.set_defaults(verb=_rollback)

    pruning = actions.add_parser("prune", help="delete old versions, never the champion or the one before it")
    pruning.add_argument("--keep", required=True, type=_count, metavar="N", help="how many of the newest versions stay")
    pruning.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    pruning.set_defaults(verb=_prune)

    for action in (listing, showing, verifying, promoting, rolling_back, pruning):
        _add_place(action)

    page = actions.add_parser("ui", help="MLflow's own page of the registry, on this machine alone")
    page.add_argument("--port", type=int, default=PORT, metavar="PORT", help="port on localhost (default: %(default)s)")
    page.set_defaults(verb=_ui)
    add_root(page)


def _add_version(action: argparse.ArgumentParser) -> None:
    version = action.add_argument("version", metavar="VERSION", help="a number, or an alias such as champion")
    version.completer = completers.versions


def _add_place(action: argparse.ArgumentParser) -> None:
    """Adds what says which registry is meant; `_open` reads it."""
    add_root(action)
    action.add_argument("--name", default=pipeline_config.Registry().name, help="registered model (default: %(default)s)")
    action.add_argument("--vertex", action="store_true", help="the Vertex AI Model Registry in place of the one below --root")
    action.add_argument("--project", metavar="P", help="with --vertex: id of the Google Cloud project")
    action.add_argument("--region", metavar="R", help="with --vertex: such as europe-west4")
    action.add_argument("--bucket", metavar="gs://B",
                        help="with --vertex: as at compilation; without it the versions say where their files are")  # fmt: skip


def _open(parsed: argparse.Namespace) -> "Backend":
    name = pipeline_config.Registry(name=parsed.name).name  # checked as the setting is
    from components.registry.opening import open_registry

    return open_registry(_place(parsed), name)


def _place(parsed: argparse.Namespace) -> str:
    if not parsed.vertex:
        for option in ("project", "region", "bucket"):
            require(getattr(parsed, option) is None, f"--{option}", "given with --vertex, or left out", getattr(parsed, option))
        return str(Layout.at(parsed.root).registry)
    require_place(parsed.project or "", parsed.region or "")
    require(parsed.bucket is None or re.fullmatch(BUCKET, parsed.bucket) is not None, "--bucket",
            "gs://BUCKET or gs://BUCKET/FOLDER, without a slash at the end", parsed.bucket)  # fmt: skip
    from components.registry.vertex_backend import vertex_place

    return vertex_place(parsed.project, parsed.region, f"{parsed.bucket}/registry" if parsed.bucket else "")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, got {text!r}")
    return int(text)


def _list(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.list_versions(_open(parsed))


def _show(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.show(_open(parsed), parsed.version)


def _verify(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.verify(_open(parsed), parsed.versions)


def _promote(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.promote(_open(parsed), parsed.version, parsed.reason)


def _rollback(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.rollback(_open(parsed), parsed.reason)


def _prune(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.prune(_open(parsed), parsed.keep, parsed.dry_run)


def _ui(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_page

    registry_page.serve(Layout.at(parsed.root).registry, parsed.port)
    raise AssertionError("serve() does not return")
