"""The command line: `flowers` and `python -m pipeline`. Reads arguments, calls the verb, returns its exit status.

Heavy libraries are imported by the verb, so that help and mistakes answer at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import pipeline_config
from pipeline import __version__, settings
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout
from pipeline.run_lock import AnotherRunIsActive
from pipeline_config import ConfigurationError

# Read by libraries when they are imported. A value that the user has set stays.
ENVIRONMENT = {
    # oneDNN is off by default on some processors, where it makes a step several times as fast.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

EPILOG = """exit status:
  0  the run finished, whether or not the backbone was pushed
  1  a node failed
  2  bad arguments or configuration
  3  the data was refused
  4  the backbone is not in the registry, where --require-push was given
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit status."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.verb(parsed))
    except (ConfigurationError, AnotherRunIsActive) as error:
        print(f"flowers: {error}", file=sys.stderr)
        return int(ExitStatus.BAD_ARGUMENTS)
    except KeyboardInterrupt:
        return int(ExitStatus.INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flowers", description="Learns a flower backbone without labels and registers it if a linear probe proves it good.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG)  # fmt: skip
    parser.add_argument("--version", action="version", version=f"flowers {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_run(verbs)
    _add_registry(verbs)
    return parser


def _add_run(verbs) -> None:
    run = verbs.add_parser(
        "run", help="run the whole pipeline on this machine", description="Runs the whole pipeline on this machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG)  # fmt: skip
    run.add_argument("--preset", default="quick", metavar="NAME",
                     help=f"{', '.join(pipeline_config.PRESETS)} (default: %(default)s)")  # fmt: skip
    run.add_argument("--data", metavar="SOURCE", help="synthetic, tfds:NAME, or a folder; the same as --set data.source=SOURCE")
    _add_root(run)
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                     help="override one setting, such as pretrain.epochs=20; may be repeated")  # fmt: skip
    run.add_argument("--warm-start", metavar="VERSION",
                     help="start pre-training from a registered backbone, champion or a number; then pretrain.warm_start_epochs "
                     "and pretrain.warm_start_learning_rate count")  # fmt: skip
    run.add_argument("--require-push", action="store_true", help="exit with 4 unless the backbone is in the registry afterwards")
    run.set_defaults(verb=_run)


def _add_registry(verbs) -> None:
    registry = verbs.add_parser("registry", help="look at the model registry", description="Looks at the model registry.")
    actions = registry.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="a table of all versions")
    listing.set_defaults(verb=_registry_list)
    showing = actions.add_parser("show", help="everything that is known of one version")
    showing.add_argument("version", metavar="VERSION", help="a number, or an alias such as champion")
    showing.set_defaults(verb=_registry_show)
    verifying = actions.add_parser("verify", help="recompute the hashes of versions; exit status 1 where anything differs")
    verifying.add_argument("versions", metavar="VERSION", nargs="*", help="numbers or aliases (default: all)")
    verifying.set_defaults(verb=_registry_verify)
    for action in (listing, showing, verifying):
        _add_root(action)
        action.add_argument("--name", default=pipeline_config.Registry().name, help="registered model (default: %(default)s)")


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", default="runs", metavar="DIR", help="where runs leave everything (default: %(default)s/)")


def _run(parsed: argparse.Namespace) -> ExitStatus:
    given = [f"data.source={parsed.data}"] if parsed.data is not None else []
    config = settings.with_absolute_source(settings.configuration(parsed.preset, given + parsed.overrides))
    from pipeline import run_command

    return run_command.run(config, Layout.at(parsed.root), parsed.require_push, parsed.warm_start)


def _registry_list(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.list_versions(Layout.at(parsed.root), parsed.name)


def _registry_show(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.show(Layout.at(parsed.root), parsed.name, parsed.version)


def _registry_verify(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.verify(Layout.at(parsed.root), parsed.name, parsed.versions)
