"""What a rehearsal notices, on small DAGs whose tasks are a few lines of Python each, run as any container's command is."""

import json

import pytest

from pipeline.identity import node_code
from pipeline.rehearsal import specification
from pipeline.rehearsal.storage import Storage
from pipeline.rehearsal.task import Job, TaskFailed, walk
from pipeline_config import ConfigurationError
from registry.mlflow_backend import MlflowBackend
from registry.opening import open_registry
from registry.vertex_backend import vertex_place

# What every task does that behaves: reads its input, writes a file to its output and says so.
BEHAVE = """
import json, os, sys
given = json.loads(sys.argv[1])
def write(path, text="x"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
def behave(**metadata):
    uri = given["outputs"]["artifacts"]["made"]["artifacts"][0]["uri"]
    write(uri + "/file", sys.argv[1])
    write(given["outputs"]["outputFile"], json.dumps({"artifacts": {"made": {"artifacts": [{"metadata": metadata}]}}}))
"""
ROOT = "gs://bucket/pipeline_root"


def job_file(path, tasks, hooks=None, command=None):
    """A PipelineJob of tasks in a chain: name to script, each taking what the one before it made."""
    components, executors, dag, before = {}, {}, {}, None
    for name, script in tasks.items():
        kind = {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}
        components[name] = {"executorLabel": f"{name}_executor", "outputDefinitions": {"artifacts": {"made": kind}}}
        container = {"image": "i", "command": command or ["python", "-c", BEHAVE + script], "args": ["{{$}}"]}
        if name in (hooks or {}):
            container["lifecycle"] = {"preCacheCheck": {"command": ["python", "-c", BEHAVE + hooks[name]], "args": ["{{$}}"]}}
        executors[f"{name}_executor"] = {"container": container}
        inputs = {"parameters": {
            "run": {"runtimeValue": {"constant": "{{$.pipeline_job_name}}"}},
            "folder": {"runtimeValue": {"constant": '{"kept": "gs://bucket/kept"}'}},
            "number": {"runtimeValue": {"constant": 3}},
        }}  # fmt: skip
        if before:
            inputs["artifacts"] = {"taken": {"taskOutputArtifact": {"producerTask": before, "outputArtifactKey": "made"}}}
        dag[name] = {"taskInfo": {"name": name}, "componentRef": {"name": name}, "inputs": inputs,
                     "dependentTasks": [before] if before else []}  # fmt: skip
        before = name
    path.write_text(json.dumps({
        "pipelineSpec": {"root": {"dag": {"tasks": dag}}, "components": components, "deploymentSpec": {"executors": executors},
                         "pipelineInfo": {"name": "small"}, "schemaVersion": "2.1.0"},
        "runtimeConfig": {"gcsOutputDirectory": ROOT},
    }))  # fmt: skip
    return specification.load(path)


@pytest.fixture
def rehearse(tmp_path):
    """rehearse(tasks, hooks) runs them; gives what each task was given, by name, and the executions."""

    def run(tasks, hooks=None):
        for folder in ("gs", "data", "logs"):
            (tmp_path / folder).mkdir()
        (tmp_path / "data" / "photograph.jpg").write_text("a photograph")
        storage = Storage(tmp_path / "gs", "gs://photographs/flowers", str(tmp_path / "data"))
        executions = []
        walk(job_file(tmp_path / "job.json", tasks, hooks), Job("job-1", storage, tmp_path / "logs"), executions,
             lambda name: None, lambda name: None)  # fmt: skip
        found = {one.node: json.loads(open(one.outputs["made"] + "/file").read()) for one in executions}
        return found, executions

    return run


def test_tasks_are_given_what_vertex_ai_gives_them(rehearse, tmp_path):
    found, executions = rehearse({"B": "behave(number=2.5, text='t')", "A": "behave()"})
    assert [one.node for one in executions] == ["B", "A"]
    inputs = found["A"]["inputs"]
    assert inputs["parameterValues"] == {"run": "job-1", "folder": f'{{"kept": "{tmp_path}/gs/bucket/kept"}}', "number": 3.0}
    (taken,), (made,) = inputs["artifacts"]["taken"]["artifacts"], found["B"]["outputs"]["artifacts"]["made"]["artifacts"]
    assert (taken["name"], taken["uri"], taken["type"]) == (made["name"], made["uri"], made["type"])
    assert taken["metadata"] == {"number": 2.5, "text": "t"}
    assert int(taken["name"].rpartition("/")[2]) > 2**53 or len(taken["name"]) > 60  # ids do not fit into a double
    assert made["uri"].startswith(f"{tmp_path}/gs/bucket/pipeline_root/") and "/job-1/B_" in made["uri"]
    assert found["A"]["outputs"]["outputFile"].endswith("/executor_output.json")


def test_the_driver_runs_before_the_task_with_the_same_input(rehearse, tmp_path):
    seen = "write(given['inputs']['parameterValues']['folder'][10:-2] + '/seen', sys.argv[1])"
    found, _ = rehearse({"A": "assert open(given['inputs']['parameterValues']['folder'][10:-2] + '/seen').read() == sys.argv[1]\n"
                              "behave()"}, hooks={"A": seen})  # fmt: skip
    assert json.loads((tmp_path / "gs/bucket/kept/seen").read_text()) == found["A"]


@pytest.mark.parametrize(("script", "message"), [
    ("raise ValueError('no petals')", r"task Bad ended with exit status 1: ValueError: no petals \(log: .*Bad.log\)"),
    ("sys.exit(7)", "task Bad ended with exit status 7"),
    ("pass", r"task Bad ended without writing .*/executor_output.json"),
    ("write(given['outputs']['outputFile'], 'no JSON')", "is not an ExecutorOutput"),
    ("write(given['outputs']['outputFile'], '{}')", "task Bad wrote nothing to its output made"),
    ("behave(); write('left.txt')", "task Bad wrote into its working directory.*left.txt"),
    ("behave(); write(given['inputs']['artifacts']['taken']['artifacts'][0]['uri'] + '/file', 'y')",
     "task Bad wrote outside its directories: .*/Good_.*/made/file"),
    ("behave(); os.remove(given['inputs']['artifacts']['taken']['artifacts'][0]['uri'] + '/file')",
     "task Bad wrote outside its directories: .*/Good_.*/made/file"),
    ("behave(); write(os.path.join(given['outputs']['outputFile'].split('/gs/')[0], 'data/new.jpg'))",
     "task Bad wrote outside its directories: .*/data/new.jpg"),
])  # fmt: skip
def test_a_task_that_misbehaves_is_reported_by_name(rehearse, script, message):
    if "write('left.txt')" in script:
        script = script.replace("write('left.txt')", "open('left.txt', 'w').write('x')")
    with pytest.raises(TaskFailed, match=message) as caught:
        rehearse({"Good": "behave()", "Bad": script, "Never": "behave()"})
    assert caught.value.node == "Bad"


def with_exit_handler(path, script):
    """The job at `path` with its tasks as a DAG within the DAG, and a task that runs `script` after them, as TFX compiles it."""
    job = json.loads(path.read_text())
    spec = job["pipelineSpec"]
    spec["components"]["tfx-dag"] = {"dag": {"tasks": spec["root"]["dag"]["tasks"]}}
    spec["components"]["Last"] = {"executorLabel": "Last_executor"}
    spec["deploymentSpec"]["executors"]["Last_executor"] = {
        "container": {"image": "i", "command": ["python", "-c", BEHAVE + script], "args": ["{{$}}"]}}  # fmt: skip
    spec["root"]["dag"]["tasks"] = {
        "tfx-dag": {"taskInfo": {"name": "tfx-dag"}, "componentRef": {"name": "tfx-dag"}},
        "Last": {"taskInfo": {"name": "Last"}, "componentRef": {"name": "Last"}, "dependentTasks": ["tfx-dag"],
                 "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
                 "inputs": {"parameters": {"status": {"taskFinalStatus": {"producerTask": "tfx-dag"}},
                                           "folder": {"runtimeValue": {"constant": "gs://bucket/outcomes"}}}}},
    }  # fmt: skip
    path.write_text(json.dumps(job))
    return specification.load(path)


# Writes the status that it is given where it is told to.
REPORT = """
values = given["inputs"]["parameterValues"]
write(values["folder"] + "/status.json", values["status"])
write(given["outputs"]["outputFile"], "{}")
"""


@pytest.mark.parametrize(("script", "state"), [("behave()", "SUCCEEDED"), ("sys.exit(1)", "FAILED")])
def test_the_exit_handler_runs_last_and_is_told_how_the_others_ended(tmp_path, script, state):
    for folder in ("gs", "logs"):
        (tmp_path / folder).mkdir()
    job_file(tmp_path / "job.json", {"A": script, "B": "behave()"})
    names, executions = [], []
    rehearsed = with_exit_handler(tmp_path / "job.json", REPORT)
    try:
        walk(rehearsed, Job("job-1", Storage(tmp_path / "gs"), tmp_path / "logs"), executions, names.append, lambda name: None)
        failed = None
    except TaskFailed as error:
        failed = error.node
    status = json.loads((tmp_path / "gs/bucket/outcomes/status.json").read_text())
    assert status["state"] == state and status["pipelineJobName"] == "job-1"
    assert names == (["A", "B", "Last"] if state == "SUCCEEDED" else ["A", "Last"])
    assert failed == (None if state == "SUCCEEDED" else "A")
    assert state == "SUCCEEDED" or "The failed tasks are: [A]" in status["error"]["message"]


def test_an_exit_handler_that_fails_is_reported_but_not_before_what_failed_first(tmp_path):
    for folder in ("gs", "logs"):
        (tmp_path / folder).mkdir()
    job_file(tmp_path / "job.json", {"A": "behave()"})
    job = Job("job-1", Storage(tmp_path / "gs"), tmp_path / "logs")
    with pytest.raises(TaskFailed, match="task Last ended with exit status 3"):
        walk(with_exit_handler(tmp_path / "job.json", "sys.exit(3)"), job, [], print, print)
    job_file(tmp_path / "job.json", {"A": "sys.exit(4)"})
    with pytest.raises(TaskFailed, match="task A ended with exit status 4"):
        walk(with_exit_handler(tmp_path / "job.json", "sys.exit(3)"), job, [], print, print)


@pytest.mark.parametrize(("script", "message"), [
    ("behave(); write(given['outputs']['outputFile'], json.dumps({'parameterValues': {'made': 'rose'}, **made}))", ""),
    ("behave()", "task A gave its output made no value"),
])  # fmt: skip
def test_a_value_of_one_task_is_a_parameter_of_the_next(tmp_path, script, message):
    for folder in ("gs", "logs"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "job.json"
    job_file(path, {"A": "made = {'artifacts': {'made': {'artifacts': [{}]}}}\n" + script, "B": "behave()"})
    job = json.loads(path.read_text())
    job["pipelineSpec"]["components"]["A"]["outputDefinitions"]["parameters"] = {"made": {"parameterType": "STRING"}}
    job["pipelineSpec"]["root"]["dag"]["tasks"]["B"]["inputs"]["parameters"]["flower"] = {
        "taskOutputParameter": {"producerTask": "A", "outputParameterKey": "made"}}  # fmt: skip
    path.write_text(json.dumps(job))
    executions = []

    def rehearse():
        walk(specification.load(path), Job("job-1", Storage(tmp_path / "gs"), tmp_path / "logs"), executions, print, print)

    if message:
        with pytest.raises(TaskFailed, match=message):
            rehearse()
        return
    rehearse()
    given = json.loads(open(executions[1].outputs["made"] + "/file").read())
    assert given["inputs"]["parameterValues"]["flower"] == "rose"


def test_a_folder_that_a_parameter_names_may_be_written(rehearse, tmp_path):
    rehearse({"A": "behave(); write(json.loads(given['inputs']['parameterValues']['folder'])['kept'] + '/checkpoint')"})
    assert (tmp_path / "gs/bucket/kept/checkpoint").exists()


def test_the_photographs_folder_stands_for_the_source_alone(tmp_path):
    storage = Storage(tmp_path, "gs://photographs/flowers", "/data")
    assert storage.local('{"a": "gs://photographs/flowers", "b": "gs://photographs/flowers2/x", "c": "gs://b/y"}') == (
        f'{{"a": "/data", "b": "{tmp_path}/photographs/flowers2/x", "c": "{tmp_path}/b/y"}}')  # fmt: skip


def test_a_registry_in_vertex_ai_is_one_of_this_machine_in_the_folder_of_its_files(tmp_path):
    place = vertex_place("a-project", "europe-west4", "gs://bucket/flowers/registry", kms_key="projects/p/k", serving_image="h/p:1")
    local = Storage(tmp_path).local(json.dumps({"registry": place, "gate": "gs://bucket/gate"}))
    assert json.loads(local) == {"registry": f"{tmp_path}/bucket/flowers/registry", "gate": f"{tmp_path}/bucket/gate"}
    assert isinstance(open_registry(json.loads(local)["registry"], "flowers-backbone"), MlflowBackend)


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot be read"), ("{", "is not a PipelineJob"), ("[]", "is not a PipelineJob"),
    ('{"pipelineSpec": {"deploymentSpec": {}, "colour": 1}, "runtimeConfig": {}}', "is not a PipelineJob"),
])  # fmt: skip
def test_a_file_that_is_no_compiled_pipeline_is_refused(tmp_path, content, message):
    path = tmp_path / "job.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        specification.load(path)


def test_what_only_google_has_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigurationError, match="A_executor runs on Dataflow"):
        path = tmp_path / "job.json"
        job_file(path, {"A": ""})
        path.write_text(path.read_text().replace('"{{$}}"', '"{{$}}", "--runner=DataflowRunner"'))
        specification.load(path)
    job_file(path, {"A": ""})
    changed = json.loads(path.read_text())
    changed["pipelineSpec"]["deploymentSpec"]["executors"]["A_executor"] = {"resolver": {}}
    path.write_text(json.dumps(changed))
    with pytest.raises(ConfigurationError, match="A_executor is a resolver; only containers can be rehearsed"):
        specification.load(path)


def test_a_file_compiled_from_other_code_is_refused(tmp_path):
    path = tmp_path / "job.json"
    job_file(path, {"ExampleGen": ""})
    changed = json.loads(path.read_text())
    parameters = changed["pipelineSpec"]["root"]["dag"]["tasks"]["ExampleGen"]["inputs"]["parameters"]
    parameters["code_version"] = {"runtimeValue": {"constant": '{"components/errors.py": "0123456789ab"}'}}
    path.write_text(json.dumps(changed))
    with pytest.raises(
        ConfigurationError, match="other code than the code here: components/.*, which ExampleGen runs, differs; compile it again"
    ):
        specification.require_present_code(specification.load(path), path, node_code(), "here")
    present = {"ExampleGen": {"components/errors.py": "0123456789ab"}}
    specification.require_present_code(specification.load(path), path, present, "here")
