"""Walks the DAG of a compiled pipeline, task after task. Called by the verb `rehearse`."""

from collections.abc import Callable

from kfp.pipeline_spec import pipeline_spec_pb2 as kfp

from pipeline.metadata import Execution
from pipeline.rehearsal import task
from pipeline.rehearsal.specification import Specification


def walk(
    specification: Specification, job: task.Job, executions: list[Execution], starts: Callable[[str], None],
    ends: Callable[[str], None],
) -> None:  # fmt: skip
    """Runs every task after those that it depends on. Nothing is served from a cache: a rehearsal is there to run things.

    Args:
      executions: gets an entry for each task that ended, also where a later one fails.
      starts, ends: called with the name of a task.

    Raises:
      task.TaskFailed: a task failed; later ones have not run.
    """
    produced: dict[tuple[str, str], kfp.RuntimeArtifact] = {}
    for name in specification.tasks:
        starts(name)
        outputs = task.run(name, specification, produced, job)
        produced |= {(name, output): artifact for output, artifact in outputs.items()}
        executions.append(Execution(name, "COMPLETE", {output: artifact.uri for output, artifact in outputs.items()}))
        ends(name)
