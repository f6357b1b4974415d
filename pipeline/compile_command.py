"""`flowers compile`: the DAG as a file that Vertex AI Pipelines takes. Called by the command line; needs no network."""

import json
import os
import pathlib

from pipeline.console import without_library_noise
from pipeline.exit_status import ExitStatus
from pipeline.vertex_target import DATAFLOW, Target
from pipeline_config import Config, Worker, require


def compile_pipeline(config: Config, target_options: dict, output: str) -> ExitStatus:
    """Writes the PipelineJob as JSON to `output`, whole or not at all.

    Args:
      config: the settings.
      target_options: arguments of pipeline.vertex_target.Target.
      output: a path that ends in .json.

    Raises:
      ConfigurationError: a setting that cannot work; nothing was written.
    """
    require(output.endswith(".json"), "--output", "a path that ends in .json", output)
    folder = os.path.dirname(os.path.abspath(output))
    require(os.path.isdir(folder), "--output", "in a folder that exists", output)
    target = Target(**target_options)
    with without_library_noise():
        from pipeline import vertex

        text = as_text(vertex.pipeline_job(config, target))
    beside = pathlib.Path(f"{output}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, output)
    print(f"{output}: preset {config.preset}, data {config.data.source}, for {target.project} in {target.region}")
    print(f"  Pretrain     {in_words(config.vertex.pretrain)}")
    print(f"  LinearEval   {in_words(config.vertex.linear_eval)}")
    print(f"  Beam tasks   {'Dataflow' if target.beam_runner == DATAFLOW else 'on their own machines'}")
    return ExitStatus.FINISHED


def as_text(job: dict) -> str:
    """The job as it is written: the same bytes for the same job."""
    return json.dumps(job, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def in_words(worker: Worker) -> str:
    """One line about a machine."""
    accelerators = f", {worker.accelerators} x {worker.accelerator}" if worker.accelerators else ""
    return f"{worker.machine_type}{accelerators}{', spot' if worker.spot else ''}, at most {worker.timeout_hours:g} h"
