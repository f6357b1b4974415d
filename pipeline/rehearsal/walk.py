"""Walks the DAG of a compiled pipeline, task after task. Called by the verb `rehearse`."""

from collections.abc import Callable

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as kfp

from pipeline.metadata import Execution
from pipeline.rehearsal import task
from pipeline.rehearsal.specification import Specification
from pipeline.rehearsal.task import Produced


def walk(
    specification: Specification, job: task.Job, executions: list[Execution], starts: Callable[[str], None],
    ends: Callable[[str], None],
) -> None:  # fmt: skip
    """Runs every task after those that it depends on, and then the exit handler, however they ended. Nothing is served from a
    cache: a rehearsal is there to run things.

    Args:
      executions: gets an entry for each task that ended, also where a later one fails.
      starts, ends: called with the name of a task.

    Raises:
      task.TaskFailed: a task failed; later ones have not run.
    """
    produced = Produced()
    status = kfp.PipelineTaskFinalStatus(
        pipeline_job_name=job.name, pipeline_job_resource_name=job.resource_name, pipeline_job_uuid=job.number)  # fmt: skip
    error: BaseException | None = None
    try:
        for name in specification.tasks:
            starts(name)
            outputs = task.run(name, specification, produced, job)
            executions.append(Execution(name, "COMPLETE", {output: artifact.uri for output, artifact in outputs.items()}))
            ends(name)
        status.state = "SUCCEEDED"
    except task.TaskFailed as caught:
        error, status.state = caught, "FAILED"
        # As Vertex AI puts it; code 9 is FAILED_PRECONDITION.
        status.error.code = 9
        status.error.message = f"The DAG failed because some tasks failed. The failed tasks are: [{caught.node}]."
    except KeyboardInterrupt as caught:
        error, status.state = caught, "CANCELLED"
    if specification.exit_handler is not None:
        name = specification.exit_handler.task_info.name
        starts(name)
        try:
            task.run(name, specification, produced, job, json_format.MessageToJson(status, indent=None))
        except task.TaskFailed as caught:
            error = error or caught  # what failed first is what the user has to know
        ends(name)
    if error is not None:
        raise error
