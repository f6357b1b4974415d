"""Arguments of `flowers compile`."""

import argparse

from pipeline.arguments import add_configuration, add_target, configuration, target_options
from pipeline.exit_status import ExitStatus


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    compiling = verbs.add_parser(
        "compile", help="write the pipeline as a file for Vertex AI Pipelines",
        description="Writes the pipeline as a PipelineJob for Vertex AI Pipelines. Needs no network and no account.")  # fmt: skip
    add_configuration(compiling, preset="gpu", data="gs://BUCKET/FOLDER, tfds:NAME or synthetic")
    add_target(compiling)
    compiling.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write, FILE.json")
    compiling.set_defaults(verb=_compile)


def _compile(parsed: argparse.Namespace) -> ExitStatus:
    config = configuration(parsed)
    from pipeline import compile_command

    return compile_command.compile_pipeline(config, target_options(parsed), parsed.output)
