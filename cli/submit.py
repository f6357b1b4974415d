"""`flowers compile` and `flowers submit`: the DAG as a file for Vertex AI Pipelines, and a run of it there."""

import argparse
import json
import os

from cli.arguments import (
    EXIT_STATUSES,
    ExitStatus,
    add_configuration,
    add_target,
    add_warm_start,
    configuration,
    examples,
    remote_start,
    target_options,
)
from cli.console import without_library_noise
from cli.terminal import say_loading
from contracts import files
from pipeline import preconditions
from pipeline_config import Config, Worker, require
from registry.backend import CHAMPION
from vertex.target import DATAFLOW, Target

# Where, in examples.
PLACE = "--project PROJECT --region europe-west4 --bucket gs://BUCKET --image IMAGE"


def add(verbs) -> None:
    """Adds both verbs to what `argparse.ArgumentParser.add_subparsers` returned."""
    compiling = verbs.add_parser(
        "compile",
        help="write the pipeline as a file for Vertex AI Pipelines",
        description="Writes the pipeline as a PipelineJob for Vertex AI Pipelines. Needs no network and no account.",
        **examples(
            f"--data gs://BUCKET/photographs {PLACE} -o flowers.json", f"--preset quick --warm-start champion {PLACE} -o flowers.json"
        ),
    )
    add_configuration(compiling, preset="gpu", data="gs://BUCKET/FOLDER, tfds:NAME or synthetic")
    add_warm_start(compiling)
    add_target(compiling)
    compiling.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write, FILE.json")
    compiling.set_defaults(verb=_compile)

    submitting = verbs.add_parser(
        "submit", help="run the pipeline on Vertex AI Pipelines",
        description="Compiles the pipeline and starts it on Vertex AI Pipelines, unless the same job is running there already.",
        **examples(f"--data gs://BUCKET/photographs {PLACE} --wait", f"--preset quick {PLACE}", after=EXIT_STATUSES))  # fmt: skip
    add_configuration(submitting, preset="gpu", data="gs://BUCKET/FOLDER, tfds:NAME or synthetic")
    add_warm_start(submitting)
    add_target(submitting)
    submitting.add_argument("--wait", action=argparse.BooleanOptionalAction, default=False,
                            help="wait until the run ends, and exit with its status (default: --no-wait)")  # fmt: skip
    submitting.set_defaults(verb=_submit)


def _compile(parsed: argparse.Namespace) -> ExitStatus:
    config = configuration(parsed)
    preconditions.require_alternation(parsed.from_scratch_every, config.pretrain.start, None)
    return compile_pipeline(config, target_options(parsed), parsed.output, remote_start(parsed, config.pretrain.start))


def _submit(parsed: argparse.Namespace) -> ExitStatus:
    config = configuration(parsed)
    preconditions.require_alternation(parsed.from_scratch_every, config.pretrain.start, None)
    return submit(config, target_options(parsed), parsed.wait, remote_start(parsed, config.pretrain.start))


def compile_pipeline(config: Config, target_options: dict, output: str, start: dict) -> ExitStatus:
    """Writes the PipelineJob as JSON to `output`, whole or not at all.

    Args:
      config: the settings.
      target_options: arguments of vertex.target.Target.
      output: a path that ends in .json.
      start: what `cli.arguments.remote_start` returned.

    Raises:
      ConfigurationError: an invalid setting; nothing was written.
    """
    require(output.endswith(".json"), "--output", "a path that ends in .json", output)
    folder = os.path.dirname(os.path.abspath(output))
    require(os.path.isdir(folder), "--output", "in a folder that exists", output)
    target = Target(**target_options)
    say_loading()
    with without_library_noise():
        from pipeline import vertex

        text = as_text(vertex.pipeline_job(config, target, **start))
    files.write_text(output, text)
    print(f"{output}: preset {config.preset}, data {config.data.source}, for {target.project} in {target.region}")
    print(f"  Pretrain     {machine(config.vertex.pretrain)}{where_it_starts(start)}")
    print(f"  LinearEval   {machine(config.vertex.linear_eval)}")
    print(f"  Beam tasks   {where_beam_runs(target)}")
    return ExitStatus.FINISHED


def where_beam_runs(target: Target) -> str:
    """Half a sentence about what runs the tasks that use Beam."""
    if target.beam_endpoint:
        return f"by the job server at {target.beam_endpoint}, with the workers of {target.beam_workers}"
    return "Dataflow" if target.beam_runner == DATAFLOW else "on their own machines"


def as_text(job: dict) -> str:
    """The job as JSON: the same bytes for the same job."""
    return json.dumps(job, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def where_it_starts(start: dict) -> str:
    """Half a sentence about a warm start; "" without one."""
    if not start:
        return ""
    found = "looked up when a run starts, random weights without one" if start["warm_start"] == CHAMPION else "looked up when a run starts"
    return f"; from {start['warm_start']}, {found}"


def machine(worker: Worker) -> str:
    """One line about a worker's machine."""
    accelerators = f", {worker.accelerators} x {worker.accelerator}" if worker.accelerators else ""
    return f"{worker.machine_type}{accelerators}{', spot' if worker.spot else ''}, at most {worker.timeout_hours:g} h"


def submit(config: Config, target_options: dict, wait: bool, start: dict) -> ExitStatus:
    """Compiles the pipeline, starts it and prints where it is; with `wait` follows it to its end.

    Args:
      config: the settings.
      target_options: arguments of vertex.target.Target.
      start: what `cli.arguments.remote_start` returned.

    Raises:
      ConfigurationError: an invalid setting; nothing was sent.
      GoogleCloudError: it was not started, or cannot be seen.
    """
    target = Target(**target_options)
    say_loading()
    with without_library_noise():
        from pipeline import vertex
        from vertex import jobs
        from vertex.client import Connection

        job = vertex.pipeline_job(config, target, **start)
    connection = Connection(target.project, target.region, config.vertex.call_seconds, config.vertex.retry_seconds)
    submitted = jobs.submit(connection, job)
    print(f"{'Submitted' if submitted.created else 'Already running, so not started again:'} {submitted.job.name}")
    print(f"  Page      {jobs.console_url(connection, submitted.job_id)}")
    print(f"  Outcome   {target.outcomes}/{submitted.job_id}.json, once it has ended")
    if not wait:
        return ExitStatus.FINISHED
    try:
        ended = jobs.follow(
            connection, submitted.job.name, config.vertex.poll_seconds, config.vertex.wait_hours, _say_how_it_ended)  # fmt: skip
    except KeyboardInterrupt:
        print("Stopped waiting; the run continues. Cancel it on the page above.")
        raise
    return _verdict(ended)


def _say_how_it_ended(task) -> None:
    """One line about a task, as `flowers run` prints it."""
    seconds = (task.end_time - task.start_time).total_seconds() if task.end_time and task.start_time else 0.0
    words = {"SKIPPED": "cached", "SUCCEEDED": f"{seconds:.1f} s"}
    print(f"{task.task_name:<17} {words.get(task.state.name, task.state.name.lower().replace('_', ' '))}", flush=True)


def _verdict(job) -> ExitStatus:
    """Says how the job ended."""
    from vertex import jobs

    if jobs.succeeded(job):
        print("Finished.")
        return ExitStatus.FINISHED
    failed = jobs.failed_tasks(job)
    print(f"Run {job.state.name.removeprefix('PIPELINE_STATE_').lower()}: {job.error.message or 'Vertex AI gives no reason'}")
    for task in failed:
        print(f"  {task.task_name}: {task.error.message or 'Vertex AI gives no reason'}")
    # A container's exit status is all that Vertex AI passes on: DataGate exists to fail where the data is refused.
    refused = any(task.task_name == "DataGate" for task in failed)
    return ExitStatus.DATA_REFUSED if refused else ExitStatus.NODE_FAILED
