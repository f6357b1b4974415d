"""Runs the tasks of a compiled pipeline with the input that Vertex AI would give and the command that the container would run."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Mapping

import yaml
from google.protobuf import json_format, struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2 as kfp

from contracts.source_code import PROJECT
from pipeline.metadata import Execution
from pipeline.rehearsal import containers
from pipeline.rehearsal.containers import Image
from pipeline.rehearsal.specification import VERTEX_TRAINER, Specification
from pipeline.rehearsal.storage import Storage, snapshot, written_outside
from pipeline_config import ConfigurationError
from registry import mlflow_backend

# Vertex AI names resources by the project's number; any number does here.
PROJECT_NUMBER = "123456789012"
HERE = f"projects/{PROJECT_NUMBER}/locations/here"
# Artifacts that are one value: their URI is a file.
VALUE_TYPES = ("tfx.String", "tfx.Integer", "tfx.Float", "tfx.Boolean", "tfx.JsonValue")
PLACEHOLDER = re.compile(r"\{\{\$[^}]*\}\}")


class TaskFailed(RuntimeError):
    """A task failed, left no output, or wrote where it must not; `node` is its name."""

    def __init__(self, node: str, problem: str):
        super().__init__(f"task {node} {problem}")
        self.node = node


@dataclasses.dataclass(frozen=True)
class Job:
    """The rehearsed PipelineJob.

    Attributes:
      name: as Vertex AI would name it.
      storage: what stands for the buckets.
      folder: where logs and working directories go.
      image: the container image to run commands in; None for this machine's Python.
    """

    name: str
    storage: Storage
    folder: pathlib.Path
    image: Image | None = None

    @property
    def number(self) -> int:
        return _number(self.name)

    @property
    def resource_name(self) -> str:
        return f"{HERE}/pipelineJobs/{self.name}"


@dataclasses.dataclass(frozen=True)
class Produced:
    """The outputs of earlier tasks, by task and output: artifacts, and values also as parameters."""

    artifacts: dict[tuple[str, str], kfp.RuntimeArtifact] = dataclasses.field(default_factory=dict)
    parameters: dict[tuple[str, str], struct_pb2.Value] = dataclasses.field(default_factory=dict)


def run(task: str, specification: Specification, produced: Produced, job: Job, final_status: str = "") -> dict[str, kfp.RuntimeArtifact]:
    """Runs one task to its end, and adds its outputs to `produced`.

    Args:
      final_status: how the other tasks ended, for the exit handler: PipelineTaskFinalStatus as JSON.

    Returns:
      The task's artifacts by output, as later tasks get them.

    Raises:
      TaskFailed: with the task's name, the reason and where the log is.
    """
    given = executor_input(task, specification, produced, job, final_status)
    text = job.storage.local(json_format.MessageToJson(given, indent=None, sort_keys=True))
    given = json_format.Parse(text, kfp.ExecutorInput())
    container = specification.container(task)
    log = job.folder / f"{task}.log"
    task_root = os.path.dirname(given.outputs.output_file)
    _make_folders(given)
    before = snapshot(_watched(job))
    with open(log, "wb") as file:
        hook = container.lifecycle.pre_cache_check
        if hook.command:
            _execute(task, [*hook.command, *hook.args], text, job, file)
        _execute(task, [*container.command, *container.args], text, job, file)
    values = json.dumps([value.string_value for value in given.inputs.parameter_values.values()])
    named = job.storage.folders_named_in(values)
    # Who writes into a registry also writes the keys beside it.
    allowed = {task_root, *named, *(os.path.join(os.path.dirname(folder), mlflow_backend.KEYS) for folder in named)}
    if foreign := written_outside(before, snapshot(_watched(job)), allowed):
        raise TaskFailed(task, f"wrote outside its directories: {', '.join(foreign[:5])}")
    artifacts, parameters = _outputs(task, given, log)
    produced.artifacts.update({(task, name): artifact for name, artifact in artifacts.items()})
    produced.parameters.update({(task, name): value for name, value in parameters.items()})
    return artifacts


def executor_input(task: str, specification: Specification, produced: Produced, job: Job, final_status: str = "") -> kfp.ExecutorInput:
    """What Vertex AI substitutes for {{$}}: parameters, input artifacts, and where outputs go."""
    given = kfp.ExecutorInput()
    inputs, component = specification.task(task).inputs, specification.component(task)
    for name, source in inputs.parameters.items():
        value = given.inputs.parameter_values[name]
        match source.WhichOneof("kind"):
            case "task_output_parameter":
                made = source.task_output_parameter
                value.CopyFrom(produced.parameters[made.producer_task, made.output_parameter_key])
            case "task_final_status":
                value.string_value = final_status
            case _:
                value.CopyFrom(source.runtime_value.constant)
        if value.HasField("string_value"):
            value.string_value = _without_placeholders(value.string_value, job)
    for name, source in inputs.artifacts.items():
        origin = source.task_output_artifact
        given.inputs.artifacts[name].artifacts.append(produced.artifacts[origin.producer_task, origin.output_artifact_key])
    root = f"{specification.pipeline_root}/{PROJECT_NUMBER}/{job.name}/{task}_{_number(job.name, task)}"
    given.outputs.output_file = f"{root}/executor_output.json"
    for name, definition in component.output_definitions.artifacts.items():
        artifact = given.outputs.artifacts[name].artifacts.add(uri=f"{root}/{name}", type=definition.artifact_type)
        artifact.name = f"{HERE}/metadataStores/default/artifacts/{_number(job.name, task, name)}"
        artifact.metadata.CopyFrom(definition.metadata)
    for name in component.output_definitions.parameters:
        given.outputs.parameters[name].output_file = f"{root}/{name}"
    return given


def _make_folders(given: kfp.ExecutorInput) -> None:
    """Makes the output folders, which an object store does not need. Values are files, not folders."""
    for artifacts in given.outputs.artifacts.values():
        for artifact in artifacts.artifacts:
            schema = artifact.type.instance_schema
            title = yaml.safe_load(schema)["title"] if schema else artifact.type.schema_title
            os.makedirs(os.path.dirname(artifact.uri) if title in VALUE_TYPES else artifact.uri, exist_ok=True)


def _number(*parts: str) -> int:
    """A number of 63 bits, as Vertex AI has them for ids: too long for a double."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big") >> 1


def _without_placeholders(text: str, job: Job) -> str:
    values = {
        "{{$.pipeline_job_name}}": job.name,
        "{{$.pipeline_job_uuid}}": str(job.number),
        "{{$.pipeline_job_resource_name}}": job.resource_name,
    }
    if unknown := set(PLACEHOLDER.findall(text)) - values.keys():
        raise ConfigurationError(f"the placeholder {min(unknown)} cannot be rehearsed; known are {', '.join(values)}")
    return PLACEHOLDER.sub(lambda found: values[found.group()], text)


def _execute(task: str, command: list[str], executor_input_json: str, job: Job, log) -> None:
    """Runs a container's command in an empty working directory, and requires it to be empty afterwards."""
    arguments = [executor_input_json if one == "{{$}}" else job.storage.local(one) for one in command]
    if arguments[:2] == ["python", "-m"] and VERTEX_TRAINER in arguments:
        arguments[2:2] = ["pipeline.rehearsal.custom_job"]
    workplace = job.folder / f"{task}.work"
    workplace.mkdir(exist_ok=True)
    status = _in_image(arguments, workplace, job, log) if job.image else _on_this_machine(arguments, workplace, log)
    if status:
        raise TaskFailed(task, f"ended with exit status {status}: {_last_error(pathlib.Path(log.name))} (log: {log.name})")
    if left := sorted(snapshot([workplace])):
        raise TaskFailed(task, f"wrote into its working directory, which is lost with the container: {', '.join(left[:5])}")
    workplace.rmdir()


def _on_this_machine(arguments: list[str], workplace: pathlib.Path, log) -> int:
    if arguments[0] == "python":
        arguments = [sys.executable, *arguments[1:]]
    return _start(arguments, workplace, os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}, log)


def _start(arguments: list[str], folder: pathlib.Path, environment: Mapping[str, str], log) -> int:
    """Runs a command to its end, with all its output in `log`; its exit status. The seam at which tests start it otherwise."""
    return subprocess.run(
        arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
    ).returncode


def _in_image(arguments: list[str], workplace: pathlib.Path, job: Job, log) -> int:
    folders = {str(job.storage.folder): containers.READ_WRITE}
    if job.storage.data:
        folders[job.storage.data] = containers.READ_ONLY
    return containers.run(job.image, arguments, folders, workplace, log)


def _last_error(log: pathlib.Path) -> str:
    """The last line that looks like that of an exception, else the last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    lines = [line for line in lines if not containers.ONLY_THE_STATUS.fullmatch(line)]
    errors = [line for line in lines if re.match(r"[A-Za-z_][\w.]*: .", line) and not line.startswith(("INFO", "WARNING"))]
    return (errors or lines or ["no output at all"])[-1][:500]


def _watched(job: Job) -> list[pathlib.Path | str]:
    return [job.storage.folder, *([job.storage.data] if job.storage.data else [])]


def _outputs(task: str, given: kfp.ExecutorInput, log: pathlib.Path) -> tuple[dict[str, kfp.RuntimeArtifact], dict[str, struct_pb2.Value]]:
    try:
        written = json_format.Parse(pathlib.Path(given.outputs.output_file).read_text(encoding="utf-8"), kfp.ExecutorOutput())
    except FileNotFoundError:
        raise TaskFailed(task, f"ended without writing {given.outputs.output_file} (log: {log})") from None
    except json_format.ParseError as error:
        raise TaskFailed(task, f"wrote {given.outputs.output_file}, which is not an ExecutorOutput: {error}") from error
    outputs = {}
    for name, expected in given.outputs.artifacts.items():
        (artifact,) = expected.artifacts
        for update in written.artifacts[name].artifacts:
            artifact.uri = update.uri or artifact.uri
            artifact.metadata.MergeFrom(update.metadata)
        if not os.path.isfile(artifact.uri) and not snapshot([artifact.uri]):
            raise TaskFailed(task, f"wrote nothing to its output {name} at {artifact.uri} (log: {log})")
        outputs[name] = artifact
    if missing := set(given.outputs.parameters) - set(written.parameter_values):
        raise TaskFailed(task, f"gave its output {min(missing)} no value (log: {log})")
    return outputs, dict(written.parameter_values)


def walk(
    specification: Specification, job: Job, executions: list[Execution], starts: Callable[[str], None],
    ends: Callable[[str], None],
) -> None:  # fmt: skip
    """Runs every task after those that it depends on, and then the exit handler, however they ended. Nothing comes from a cache.

    Args:
      executions: gets an entry for each task that ended, also if a later one fails.
      starts, ends: called with the name of a task.

    Raises:
      TaskFailed: a task failed; later ones have not run.
    """
    produced = Produced()
    status = kfp.PipelineTaskFinalStatus(
        pipeline_job_name=job.name, pipeline_job_resource_name=job.resource_name, pipeline_job_uuid=job.number)  # fmt: skip
    error: BaseException | None = None
    try:
        for name in specification.tasks:
            starts(name)
            outputs = run(name, specification, produced, job)
            executions.append(Execution(name, "COMPLETE", {output: artifact.uri for output, artifact in outputs.items()}))
            ends(name)
        status.state = "SUCCEEDED"
    except TaskFailed as caught:
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
            run(name, specification, produced, job, json_format.MessageToJson(status, indent=None))
        except TaskFailed as caught:
            error = error or caught  # the first failure is what the user needs to know
        ends(name)
    if error is not None:
        raise error
