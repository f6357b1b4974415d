"""Arguments of `flowers registry` and its actions."""

import argparse
from typing import TYPE_CHECKING

import pipeline_config
from pipeline import completers
from pipeline.arguments import add_root
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout

if TYPE_CHECKING:
    from components.registry.backend import Backend


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    registry = verbs.add_parser("registry", help="look at the model registry", description="Looks at the model registry.")
    actions = registry.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="a table of all versions")
    listing.set_defaults(verb=_list)
    showing = actions.add_parser("show", help="everything that is known of one version")
    showing.add_argument("version", metavar="VERSION", help="a number, or an alias such as champion").completer = completers.versions
    showing.set_defaults(verb=_show)
    verifying = actions.add_parser("verify", help="recompute the hashes of versions; exit status 1 where anything differs")
    verifying.add_argument("versions", metavar="VERSION", nargs="*", help="numbers or aliases (default: all)").completer = (
        completers.versions)
    verifying.set_defaults(verb=_verify)
    for action in (listing, showing, verifying):
        _add_place(action)


def _add_place(action: argparse.ArgumentParser) -> None:
    """Adds what says which registry is meant; `_open` reads it."""
    add_root(action)
    action.add_argument("--name", default=pipeline_config.Registry().name, help="registered model (default: %(default)s)")


def _open(parsed: argparse.Namespace) -> "Backend":
    name = pipeline_config.Registry(name=parsed.name).name  # checked as the setting is
    from components.registry.opening import open_registry

    return open_registry(str(Layout.at(parsed.root).registry), name)


def _list(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.list_versions(_open(parsed))


def _show(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.show(_open(parsed), parsed.version)


def _verify(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.verify(_open(parsed), parsed.versions)
