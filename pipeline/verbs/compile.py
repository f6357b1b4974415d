"""Arguments of `flowers compile`."""

import argparse

from pipeline.arguments import add_configuration, configuration
from pipeline.exit_status import ExitStatus


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    compiling = verbs.add_parser(
        "compile", help="write the pipeline as a file for Vertex AI Pipelines",
        description="Writes the pipeline as a PipelineJob for Vertex AI Pipelines. Needs no network and no account.")  # fmt: skip
    add_configuration(compiling, preset="gpu", data="gs://BUCKET/FOLDER, tfds:NAME or synthetic")
    compiling.add_argument("--project", required=True, metavar="P", help="id of the Google Cloud project")
    compiling.add_argument("--region", required=True, metavar="R", help="such as europe-west4")
    compiling.add_argument("--bucket", required=True, metavar="gs://B", help="where everything is kept; may have a folder")
    compiling.add_argument("--image", required=True, metavar="I", help="container image of every task, with tag or digest")
    compiling.add_argument("--beam-runner", default="task", metavar="RUNNER",
                           help="task (Beam on the task's own machine) or dataflow (default: %(default)s)")  # fmt: skip
    compiling.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write, FILE.json")
    compiling.set_defaults(verb=_compile)


def _compile(parsed: argparse.Namespace) -> ExitStatus:
    config = configuration(parsed)
    from pipeline import compile_command

    options = {name: getattr(parsed, name) for name in ("project", "region", "bucket", "image", "beam_runner")}
    return compile_command.compile_pipeline(config, options, parsed.output)
