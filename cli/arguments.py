"""What several verbs share: arguments and how they are read, values that a shell offers for them, and exit statuses.

Cheap to import, as each press of the tabulator key starts a process.
"""

import argparse
import enum
import glob
import os
import re

import pipeline_config
from contracts.layout import Layout
from contracts.text import visible
from pipeline import contradictions, preconditions, settings
from pipeline_config import ConfigurationError, is_network, require, version_of
from registry import mlflow_backend
from registry.backend import CHAMPION


class ExitStatus(enum.IntEnum):
    """The exit status of the process."""

    FINISHED = 0  # the run finished, whether or not the backbone was pushed
    NODE_FAILED = 1
    BAD_ARGUMENTS = 2  # or an invalid configuration or source
    DATA_REFUSED = 3
    NOT_PUSHED = 4  # with --require-push only
    UNSIGNED = 5  # of `registry verify` only: nothing differs, and a version is not signed
    ANOTHER_KEY = 6  # of `registry verify` only: nothing differs, and a version is signed by a key that is not trusted
    INTERRUPTED = 130  # by Ctrl-C, as shells report it, SIGTERM or SIGHUP


EXIT_STATUSES = """exit status:
    0  the run finished, whether or not the backbone was pushed
    1  a node failed, or Google Cloud did not answer
    2  bad arguments or configuration; credentials, permissions or quota missing
    3  the data was refused
    4  --require-push was given and the backbone is not in the registry
  130  Ctrl-C, SIGTERM or SIGHUP (a closed terminal) ended it; finished work is kept
"""


class _KeepsLines(argparse.HelpFormatter):
    """Folds running text, and keeps the lines of a text that has several."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def examples(*commands: str, after: str = "") -> dict[str, object]:
    """Arguments of `add_parser` with which a verb's help ends in examples and `after`; a command is what follows the verb."""
    lines = "".join(f"  %(prog)s {command}".rstrip() + "\n" for command in commands)
    return {"formatter_class": _KeepsLines, "epilog": f"examples:\n{lines}" + (f"\n{after}" if after else "")}


def add_configuration(parser: argparse.ArgumentParser, preset: str | None, data: str) -> None:
    """Adds --preset, --data, --labels, --unlabelled and --set, which `configuration` reads.

    Args:
      preset: the default; with None the verb chooses `gpu`, or `quick` with --local.
      data: the possible sources, for the help.
    """
    parser.add_argument(
        "--preset",
        default=preset,
        metavar="NAME",
        help=f"{', '.join(pipeline_config.PRESETS)} (default: {preset or 'gpu, with --local quick'})",
    ).completer = presets
    parser.add_argument(
        "--data", metavar="SOURCE", help=f"{data}; the same as --set data.source=SOURCE").completer = sources  # fmt: skip
    parser.add_argument(
        "--labels", metavar="FILE", help="which photograph of --data shows what: CSV with the columns path and label, or Label "
        "Studio's JSON export; the others are unlabelled; the same as --set data.labels=FILE")  # fmt: skip
    parser.add_argument(
        "--unlabelled", metavar="SOURCE", help="more photographs to learn from, all without labels: a folder or tfds:NAME; the same "
        "as --set data.unlabelled=SOURCE").completer = sources  # fmt: skip
    parser.add_argument("--allow-cpu", action="store_true", help="train on the processor where the preset asks for GPUs and there are "
                        "fewer; the same as --set pretrain.allow_cpu=true")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="override one setting, such as pretrain.epochs=20; may be repeated").completer = settings_keys  # fmt: skip


def configuration(parsed: argparse.Namespace) -> pipeline_config.Config:
    """The configuration that the arguments of `add_configuration` name.

    Raises:
      ConfigurationError: an unknown preset or key, an invalid value, a setting that would have no effect, or no source where the
        preset needs one.
    """
    return preconditions.configuration(parsed.preset, own_options(parsed), parsed.overrides, way(parsed))


def way(parsed: argparse.Namespace) -> contradictions.Way:
    """How the verb that was called would run the configuration."""
    return contradictions.Way(
        here=getattr(parsed, "local", not hasattr(parsed, "project")),
        waits=getattr(parsed, "wait", False),
        dataflow=getattr(parsed, "beam_runner", "") == "dataflow",
    )


def overrides(parsed: argparse.Namespace) -> list[str]:
    """--data, --labels, --unlabelled and --set as one list of KEY=VALUE."""
    return [f"{key}={value}" for key, value in own_options(parsed).items() if value is not None] + parsed.overrides


def own_options(parsed: argparse.Namespace) -> dict[str, str | None]:
    """The settings that have options of their own, with what was given."""
    return {"data.source": parsed.data, "data.labels": parsed.labels, "data.unlabelled": parsed.unlabelled,
            "pretrain.start": getattr(parsed, "warm_start", None),
            "pretrain.allow_cpu": "true" if parsed.allow_cpu else None}  # fmt: skip


def add_warm_start(parser: argparse.ArgumentParser) -> None:
    """Adds --warm-start and --from-scratch-every."""
    parser.add_argument("--warm-start", metavar="VERSION",
                        help="start pre-training from a registered version, a number or an alias such as champion; the same as "
                        "--set pretrain.start=VERSION, which takes FILE.keras and keras:NAME as well; then "
                        "pretrain.warm_start_epochs and pretrain.warm_start_learning_rate apply, unless pretrain.epochs or "
                        "pretrain.base_learning_rate is set instead"
                        ).completer = versions  # fmt: skip
    parser.add_argument("--from-scratch-every", type=int, default=0, metavar="N",
                        help="let every N-th run of a schedule start from random weights in spite of --warm-start")  # fmt: skip


def add_full_check(parser: argparse.ArgumentParser) -> None:
    """Adds --full-check."""
    parser.add_argument("--full-check", action="store_true",
                        help="read all photographs of a folder, also those that look as they did when they were read before, and name "
                        "those whose content changed all the same")  # fmt: skip


def remote_start(parsed: argparse.Namespace, start: str) -> dict:
    """Where pre-training starts, as arguments of pipeline.vertex.pipeline_job; empty for random weights.

    Args:
      start: pretrain.start.

    Raises:
      ConfigurationError: it can be neither number nor alias of a version.
    """
    if is_network(start):
        raise ConfigurationError(
            f"pretrain.start={visible(start)}: networks of others are started from by `flowers run` on one machine alone; here, "
            "start from random weights or a registered version of the project's own")  # fmt: skip
    wanted = version_of(start)
    if wanted is None:
        return {}
    require(
        re.fullmatch(r"[1-9][0-9]*|[a-z][a-zA-Z0-9-]*", wanted), "--warm-start", "a version's number or alias, such as champion", wanted
    )
    return {"warm_start": wanted, "from_scratch_every": parsed.from_scratch_every}


def add_root(parser: argparse.ArgumentParser) -> None:
    """Adds --root; `Layout.at(parsed.root)` has the paths below it."""
    parser.add_argument("--root", default="runs", metavar="DIR", help="where runs keep everything (default: %(default)s/)")


def add_listing(parser: argparse.ArgumentParser) -> None:
    """Adds --exclude and --follow-links, which `listing_of` reads."""
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN",
                        help="pass over what matches, such as '*.psd'; may be repeated; as data.exclude of a run")  # fmt: skip
    parser.add_argument("--follow-links", action="store_true",
                        help="follow links that lead out of the folder, to files; as data.follow_links of a run")  # fmt: skip


def listing_of(parsed: argparse.Namespace) -> dict[str, object]:
    """What `add_listing` added, as arguments of the functions of `inference`."""
    return {"exclude": tuple(parsed.exclude), "follow_links": parsed.follow_links}


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds --version, --name and --registry, which together name a registered version, as `parsed.registered_version`,
    `parsed.name` and `parsed.registry`; and --unverified."""
    parser.add_argument("--version", default="champion", metavar="VERSION", dest="registered_version",
                        help="registered version, a number or an alias (default: %(default)s)").completer = versions  # fmt: skip
    parser.add_argument("--name", default=pipeline_config.Registry().name, help="registered model (default: %(default)s)")
    add_registry(parser)
    add_unverified(parser)


def add_registry(parser: argparse.ArgumentParser) -> None:
    """Adds --registry; "" where the registry is that of DIR."""
    parser.add_argument("--registry", default="", metavar="URL",
                        help="http(s)://HOST:PORT of the MLflow server that has the registry, as registry.place of a run "
                        "(default: the one below DIR)")  # fmt: skip


def add_unverified(parser: argparse.ArgumentParser) -> None:
    """Adds --unverified."""
    parser.add_argument(
        "--unverified",
        action="store_true",
        help="use a registered version even if it was changed, or signed by a key that is not trusted; it is said",
    )


def add_target(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds the options that say where on Google Cloud a pipeline runs; `target_options` reads them."""
    add_place(parser, required)
    parser.add_argument("--bucket", required=required, metavar="gs://B", help="bucket for all files, optionally with a folder")
    parser.add_argument("--image", required=required, metavar="I", help="container image of every task, with tag or digest")
    parser.add_argument("--beam-runner", default="task", metavar="RUNNER",
                        help="task (Beam on the task's own machine) or dataflow (default: %(default)s)")  # fmt: skip
    add_engine(parser, "what --beam-runner says")


def add_engine(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds --beam-endpoint and --beam-workers; `default` says what runs Beam without them."""
    parser.add_argument("--beam-endpoint", default="", metavar="HOST:PORT", help="let the job server there (of Flink, Spark, or Beam's "
                        f"own) run what uses Beam: ingest, statistics, evaluation; default: {default}")  # fmt: skip
    parser.add_argument("--beam-workers", default="", metavar="HOST:PORT", help="where the engine of --beam-endpoint finds a pool of "
                        "Beam's workers (docs/scale.md); default: workers are threads of `flowers run`")  # fmt: skip


def add_place(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds --project and --region."""
    parser.add_argument("--project", required=required, metavar="P", help="id of the Google Cloud project")
    parser.add_argument("--region", required=required, metavar="R", help="such as europe-west4")


def target_options(parsed: argparse.Namespace) -> dict:
    """What `add_target` added, as arguments of vertex.target.Target."""
    return {
        name: getattr(parsed, name) for name in ("project", "region", "bucket", "image", "beam_runner", "beam_endpoint", "beam_workers")
    }


# Completers: argcomplete calls them with what was typed so far and the arguments before it. What cannot be read offers nothing.


def presets(**_) -> list[str]:
    return list(pipeline_config.PRESETS)


def settings_keys(**_) -> list[str]:
    """Every key as `KEY=`; argcomplete puts no space after an equals sign."""
    return [f"{key}=" for key in settings.field_types()]


def sources(prefix: str, **_) -> list[str]:
    """The two kinds of source that are words, and folders."""
    folders = [f"{name}/" for name in glob.glob(f"{glob.escape(prefix)}*") if os.path.isdir(name)]
    return ["synthetic", "tfds:tf_flowers", "tfds:oxford_flowers102", *folders]


def runs(parsed_args: argparse.Namespace, **_) -> list[str]:
    """Ids of the recorded runs below --root, and `latest`."""
    found = [path.parent.name for path in Layout.at(parsed_args.root).root.glob("runs/*/run.json")]
    return [*sorted(found, reverse=True), "latest"] if found else []


def versions(parsed_args: argparse.Namespace, **_) -> list[str]:
    """Numbers and aliases from the file that the registry below --root keeps for this: MLflow takes seconds to import. On Vertex AI the
    champion alone, as nothing is asked there, nor on a server."""
    if not hasattr(parsed_args, "root") or getattr(parsed_args, "registry", ""):
        return [CHAMPION]
    name = getattr(parsed_args, "name", None) or pipeline_config.Registry().name
    return mlflow_backend.offered(str(Layout.at(parsed_args.root).registry)).get(name, [])
