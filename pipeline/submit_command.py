"""`flowers submit`: the pipeline on Vertex AI, once. Called by the command line."""

from pipeline.console import without_library_noise
from pipeline.exit_status import ExitStatus
from pipeline.vertex_target import Target
from pipeline_config import Config


def submit(config: Config, target_options: dict, wait: bool) -> ExitStatus:
    """Compiles the pipeline, starts it and says where it is; with `wait` follows it to its end.

    Args:
      config: the settings.
      target_options: arguments of pipeline.vertex_target.Target.

    Raises:
      ConfigurationError: a setting that cannot work; nothing was sent.
      GoogleCloudError: it was not started, or cannot be seen.
    """
    target = Target(**target_options)
    with without_library_noise():
        from components.google_cloud.client import Connection
        from pipeline import vertex, vertex_jobs

        job = vertex.pipeline_job(config, target)
    connection = Connection(target.project, target.region, config.vertex.call_seconds, config.vertex.retry_seconds)
    submitted = vertex_jobs.submit(connection, job)
    print(f"{'Submitted' if submitted.created else 'Already running, so not started again:'} {submitted.job.name}")
    print(f"  Page      {vertex_jobs.console_url(connection, submitted.job_id)}")
    print(f"  Outcome   {target.outcomes}/{submitted.job_id}.json, once it has ended")
    if not wait:
        return ExitStatus.FINISHED
    try:
        ended = vertex_jobs.follow(
            connection, submitted.job.name, config.vertex.poll_seconds, config.vertex.wait_hours, _say_how_it_ended)  # fmt: skip
    except KeyboardInterrupt:
        print("No longer waited for; the run goes on. The page above can cancel it.")
        raise
    return _verdict(ended)


def _say_how_it_ended(task) -> None:
    """One line about a task, as `flowers run` prints it."""
    seconds = (task.end_time - task.start_time).total_seconds() if task.end_time and task.start_time else 0.0
    words = {"SKIPPED": "cached", "SUCCEEDED": f"{seconds:.1f} s"}
    print(f"{task.task_name:<17} {words.get(task.state.name, task.state.name.lower().replace('_', ' '))}", flush=True)


def _verdict(job) -> ExitStatus:
    """Says how the job ended."""
    from google.cloud.aiplatform_v1.types import PipelineState

    from pipeline import vertex_jobs

    if job.state == PipelineState.PIPELINE_STATE_SUCCEEDED:
        print("Finished.")
        return ExitStatus.FINISHED
    failed = vertex_jobs.failed_tasks(job)
    print(f"Run {job.state.name.removeprefix('PIPELINE_STATE_').lower()}: {job.error.message or 'Vertex AI gives no reason'}")
    for task in failed:
        print(f"  {task.task_name}: {task.error.message or 'Vertex AI gives no reason'}")
    # A container's exit status is all that Vertex AI passes on: DataGate exists to fail where the data is refused.
    refused = any(task.task_name == "DataGate" for task in failed)
    return ExitStatus.DATA_REFUSED if refused else ExitStatus.NODE_FAILED
