"""A compiled pipeline, read into KFP's own types; what cannot be rehearsed is refused."""

import dataclasses
import graphlib
import json
import pathlib
from collections.abc import Mapping

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as kfp

from contracts import files
from pipeline_config import ConfigurationError

AFTER_ALL = kfp.PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED
Tasks = Mapping[str, kfp.PipelineTaskSpec]
VERTEX_TRAINER = "tfx.extensions.google_cloud_ai_platform.trainer.executor.GenericExecutor"


@dataclasses.dataclass(frozen=True)
class Specification:
    """A PipelineJob.

    Attributes:
      tasks: specification of each task by name, each after those that it depends on.
      exit_handler: the task that runs after all others, however they ended; None if there is none.
      components: inputs and outputs of tasks, by name.
      containers: what runs, by executor label.
      pipeline_root: gs:// folder of the tasks' outputs.
    """

    tasks: dict[str, kfp.PipelineTaskSpec]
    exit_handler: kfp.PipelineTaskSpec | None
    components: dict[str, kfp.ComponentSpec]
    containers: dict[str, kfp.PipelineDeploymentConfig.PipelineContainerSpec]
    pipeline_root: str

    def container(self, task: str) -> kfp.PipelineDeploymentConfig.PipelineContainerSpec:
        return self.containers[self.component(task).executor_label]

    def component(self, task: str) -> kfp.ComponentSpec:
        return self.components[self.task(task).component_ref.name]

    def task(self, name: str) -> kfp.PipelineTaskSpec:
        """Any task, the exit handler included."""
        if self.exit_handler is not None and name == self.exit_handler.task_info.name:
            return self.exit_handler
        return self.tasks[name]

    def constant(self, task: str, parameter: str) -> str:
        """The text that the file gives a task for a parameter; "" if it gives none."""
        if task not in self.tasks or parameter not in self.tasks[task].inputs.parameters:
            return ""
        return self.tasks[task].inputs.parameters[parameter].runtime_value.constant.string_value

    @property
    def source(self) -> str:
        """data.source, as ExampleGen gets it; "" if there is no ExampleGen of this project."""
        settings = self.constant("ExampleGen", "data")
        return json.loads(settings)["source"] if settings else ""


def load(path: pathlib.Path) -> Specification:
    """Reads a file that `flowers compile` wrote.

    Raises:
      ConfigurationError: there is no such file, it is not a PipelineJob, or it needs what only Google has.
    """
    try:
        job = files.read_json(path)
        spec = json_format.ParseDict(job["pipelineSpec"], kfp.PipelineSpec())
        deployment = json_format.ParseDict(job["pipelineSpec"]["deploymentSpec"], kfp.PipelineDeploymentConfig())
        pipeline_root = job["runtimeConfig"]["gcsOutputDirectory"]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; write it with `flowers compile`") from error
    except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
        raise ConfigurationError(f"{path} is not a PipelineJob as `flowers compile` writes it: {error}") from error
    for label, executor in deployment.executors.items():
        if executor.WhichOneof("spec") != "container":
            raise ConfigurationError(f"{path}: {label} is a {executor.WhichOneof('spec')}; only containers can be rehearsed")
        if "--runner=DataflowRunner" in executor.container.args:
            raise ConfigurationError(f"{path}: {label} runs on Dataflow, which only Google has; compile with --beam-runner task")
    tasks, exit_handler = _tasks_and_exit_handler(spec, path)
    return Specification(
        tasks=_in_order(tasks),
        exit_handler=exit_handler,
        components=dict(spec.components),
        containers={label: executor.container for label, executor in deployment.executors.items()},
        pipeline_root=pipeline_root,
    )


def require_present_code(specification: Specification, path: pathlib.Path, present: Mapping[str, Mapping[str, str]], where: str) -> None:
    """Raises ConfigurationError if the file was compiled from other code than would run.

    Args:
      present: by node, the hash of each file that would run, as pipeline.identity.node_code returns them.
      where: where these files are, for the message.
    """
    for node in specification.tasks:
        custom = json.loads(specification.constant(node, "custom_config") or "{}")
        compiled = json.loads(custom.get("code_version") or specification.constant(node, "code_version") or "{}")
        differing = sorted(name for name in compiled.keys() | present.get(node, {}).keys()
                           if compiled and compiled.get(name) != present.get(node, {}).get(name))  # fmt: skip
        if differing:
            raise ConfigurationError(
                f"{path} was compiled from other code than the code {where}: {differing[0]}, which {node} runs, differs; compile it again"
            )


def _tasks_and_exit_handler(spec: kfp.PipelineSpec, path: pathlib.Path) -> tuple[Tasks, kfp.PipelineTaskSpec | None]:
    """With an exit handler, the other tasks are a DAG inside one task of the root."""
    at_root = spec.root.dag.tasks
    last = [task for task in at_root.values() if task.trigger_policy.strategy == AFTER_ALL]
    if not last:
        return at_root, None
    inner = [spec.components[task.component_ref.name] for task in at_root.values() if task is not last[0]]
    if len(at_root) != 2 or not inner[0].HasField("dag"):
        names = ", ".join(sorted(at_root))
        raise ConfigurationError(f"{path}: an exit handler can be rehearsed with one DAG beside it, got the tasks {names}")
    return inner[0].dag.tasks, last[0]


def _in_order(tasks: Tasks) -> dict[str, kfp.PipelineTaskSpec]:
    order = graphlib.TopologicalSorter({name: sorted(tasks[name].dependent_tasks) for name in sorted(tasks)})
    return {name: tasks[name] for name in order.static_order()}
