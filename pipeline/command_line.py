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
    _add_compile(verbs)
    _add_rehearse(verbs)
    _add_registry(verbs)
    return parser


def _add_run(verbs) -> None:
    run = verbs.add_parser(
        "run", help="run the whole pipeline on this machine", description="Runs the whole pipeline on this machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG)  # fmt: skip
    _add_configuration(run, preset="quick", data="synthetic, tfds:NAME, or a folder")
    _add_root(run)
    run.add_argument("--warm-start", metavar="VERSION",
                     help="start pre-training from a registered backbone, champion or a number; then pretrain.warm_start_epochs "
                     "and pretrain.warm_start_learning_rate count")  # fmt: skip
    run.add_argument("--require-push", action="store_true", help="exit with 4 unless the backbone is in the registry afterwards")
    run.set_defaults(verb=_run)


def _add_compile(verbs) -> None:
    compiling = verbs.add_parser(
        "compile", help="write the pipeline as a file for Vertex AI Pipelines",
        description="Writes the pipeline as a PipelineJob for Vertex AI Pipelines. Needs no network and no account.")  # fmt: skip
    _add_configuration(compiling, preset="gpu", data="gs://BUCKET/FOLDER, tfds:NAME or synthetic")
    compiling.add_argument("--project", required=True, metavar="P", help="id of the Google Cloud project")
    compiling.add_argument("--region", required=True, metavar="R", help="such as europe-west4")
    compiling.add_argument("--bucket", required=True, metavar="gs://B", help="where everything is kept; may have a folder")
    compiling.add_argument("--image", required=True, metavar="I", help="container image of every task, with tag or digest")
    compiling.add_argument("--beam-runner", default="task", metavar="RUNNER",
                           help="task (Beam on the task's own machine) or dataflow (default: %(default)s)")  # fmt: skip
    compiling.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write, FILE.json")
    compiling.set_defaults(verb=_compile)


def _add_rehearse(verbs) -> None:
    rehearse = verbs.add_parser(
        "rehearse", help="run a compiled pipeline on this machine", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs a file of `flowers compile` on this machine, task by task.", epilog=EPILOG)  # fmt: skip
    rehearse.add_argument("file", metavar="FILE", help="what `flowers compile` wrote")
    rehearse.add_argument("--data", metavar="DIR", help="the folder that stands for the gs:// folder of photographs")
    _add_root(rehearse)
    rehearse.set_defaults(verb=_rehearse)


def _add_configuration(parser: argparse.ArgumentParser, preset: str, data: str) -> None:
    parser.add_argument("--preset", default=preset, metavar="NAME",
                        help=f"{', '.join(pipeline_config.PRESETS)} (default: %(default)s)")  # fmt: skip
    parser.add_argument("--data", metavar="SOURCE", help=f"{data}; the same as --set data.source=SOURCE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="override one setting, such as pretrain.epochs=20; may be repeated")  # fmt: skip


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


def _configuration(parsed: argparse.Namespace) -> pipeline_config.Config:
    given = [f"data.source={parsed.data}"] if parsed.data is not None else []
    return settings.configuration(parsed.preset, given + parsed.overrides)


def _run(parsed: argparse.Namespace) -> ExitStatus:
    config = settings.with_absolute_source(_configuration(parsed))
    from pipeline import run_command

    return run_command.run(config, Layout.at(parsed.root), parsed.require_push, parsed.warm_start)


def _compile(parsed: argparse.Namespace) -> ExitStatus:
    config = _configuration(parsed)
    from pipeline import compile_command

    options = {name: getattr(parsed, name) for name in ("project", "region", "bucket", "image", "beam_runner")}
    return compile_command.compile_pipeline(config, options, parsed.output)


def _rehearse(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import rehearse_command

    return rehearse_command.rehearse(parsed.file, parsed.data, Layout.at(parsed.root))


def _registry_list(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.list_versions(Layout.at(parsed.root), parsed.name)


def _registry_show(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.show(Layout.at(parsed.root), parsed.name, parsed.version)


def _registry_verify(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import registry_command

    return registry_command.verify(Layout.at(parsed.root), parsed.name, parsed.versions)
