"""What `flowers rehearse --in-image` asks docker, podman and buildah for. Stand-ins note it and run the command on this machine.

A rehearsal in a real container needs an image of 3 GB and is made by hand; docs/image.md says how.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from cli.arguments import ExitStatus
from cli.rehearse import rehearse as rehearsal
from contracts.layout import Layout
from contracts.source_code import PROJECT
from pipeline.rehearsal import containers
from pipeline_config import ConfigurationError

IMAGE = "host/flowers:1"
ROOT = "gs://bucket/pipeline_root"

STAND_IN = """#!{python}
import json, os, subprocess, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
with open({log!r}, "a") as log:
    print(json.dumps([name, *arguments]), file=log)
if "inspect" in arguments:
    sys.exit("a note\\n" + name + " has no such image" if arguments[-1] not in {images!r} else 0)
if arguments[0] == "from":
    print("flowers-working-container")
if arguments[0] == "run":
    options = dict(zip(arguments, arguments[1:]))
    if name == "buildah":
        command = arguments[arguments.index("--") + 1 :]
    else:
        command = [options["--entrypoint"], *arguments[arguments.index({image!r}) + 1 :]]
    assert command[0] == "python"
    environment = os.environ | {{"PYTHONPATH": {project!r}}}
    where = options.get("--workdir") or options["--workingdir"]
    status = subprocess.run([{python!r}, *command[1:]], cwd=where, env=environment).returncode
    if status and name == "buildah":
        print(f"subprocess exited with status {{status}}", file=sys.stderr)
        print(f"Error: exit status {{status}}", file=sys.stderr)
    sys.exit(status)
"""

BEHAVE = """
import json, os, sys
given = json.loads(sys.argv[1])
uri = given["outputs"]["artifacts"]["made"]["artifacts"][0]["uri"]
os.makedirs(uri, exist_ok=True)
open(uri + "/file", "w").write(os.getcwd())
open(given["outputs"]["outputFile"], "w").write("{}")
"""


class Machine:
    """A PATH with stand-ins alone."""

    def __init__(self, folder: Path):
        self.folder, self.log = folder, folder / "log"
        folder.mkdir()

    def has(self, program: str, *images: str, instead: str = "") -> None:
        script = STAND_IN.format(python=sys.executable, log=str(self.log), images=images, image=IMAGE, project=str(PROJECT))
        (self.folder / program).write_text(instead or script)
        (self.folder / program).chmod(0o755)

    def calls(self, *verbs: str) -> list[list[str]]:
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [call for call in calls if call[1] in verbs]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    machine = Machine(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(machine.folder))
    return machine


@pytest.fixture
def rehearse(tmp_path):
    """rehearse(script) rehearses a job whose only task runs the script, in IMAGE; gives the exit status."""

    def run(script=BEHAVE, **parameters):
        component = {"executorLabel": "e", "outputDefinitions": {"artifacts": {
            "made": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}}}}  # fmt: skip
        constants = {name: {"runtimeValue": {"constant": value}} for name, value in parameters.items()}
        task = {"taskInfo": {"name": "ExampleGen"}, "componentRef": {"name": "c"}, "inputs": {"parameters": constants}}
        executor = {"container": {"image": "i", "command": ["python", "-c", script], "args": ["{{$}}"]}}
        (tmp_path / "job.json").write_text(json.dumps({
            "pipelineSpec": {"root": {"dag": {"tasks": {"ExampleGen": task}}}, "components": {"c": component},
                             "deploymentSpec": {"executors": {"e": executor}}},
            "runtimeConfig": {"gcsOutputDirectory": ROOT},
        }))  # fmt: skip
        remote = "gs://" in parameters.get("data", "")
        return rehearsal(str(tmp_path / "job.json"), str(tmp_path / "data") if remote else None,
                                         Layout.at(str(tmp_path / "root")), IMAGE)  # fmt: skip

    (tmp_path / "data").mkdir()
    return run


def record(tmp_path) -> dict:
    return json.loads((tmp_path / "root/latest/run.json").read_text())


@pytest.mark.parametrize("user", [1000, 0])
@pytest.mark.parametrize("program", containers.PROGRAMS)
def test_each_program_mounts_what_a_task_needs_and_runs_its_command(machine, rehearse, tmp_path, monkeypatch, program, user):
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setattr(os, "getgid", lambda: user + 1)
    machine.has(program, IMAGE)
    assert rehearse(data='{"source": "gs://photographs"}') == ExitStatus.FINISHED
    workplace = f"{(tmp_path / 'root/latest').resolve()}/ExampleGen.work"
    rw = ",rw" if program == "buildah" else ""
    mounts = [word for path, access in ((tmp_path / "root/gs", rw), (tmp_path / "data", ",readonly"), (workplace, rw))
              for word in ("--mount", f"type=bind,source={path},target={path}{access}")]  # fmt: skip
    keep_id = ["--userns", "keep-id"] if user else []
    as_caller = {
        "docker": ["--user", f"{user}:{user + 1}"],
        "podman": ["--security-opt", "label=disable", "--user", f"{user}:{user + 1}", *keep_id],
        "buildah": ["--user", "0:0"],
    }[program]
    command = machine.calls("run")[-1]
    given = command.pop()
    if program == "buildah":
        assert command == ["buildah", "run", *as_caller, "--env", "HOME=/tmp", *mounts, "--workingdir", workplace,
                           "flowers-working-container", "--", "python", "-c", BEHAVE]  # fmt: skip
    else:
        assert command == [program, "run", "--rm", "--pull=never", *as_caller, "--env", "HOME=/tmp", *mounts,
                           "--workdir", workplace, "--entrypoint", "python", IMAGE, "-c", BEHAVE]  # fmt: skip
    made = json.loads(given)["outputs"]["artifacts"]["made"]["artifacts"][0]["uri"]
    assert Path(made, "file").read_text() == workplace
    assert "gs://" not in given and f"{tmp_path}/data" in given


def test_an_image_with_other_code_than_the_file_was_compiled_from_is_refused(machine, rehearse, tmp_path):
    machine.has("docker", IMAGE)
    message = f"other code than the code in {IMAGE}: components/.*, which ExampleGen runs, differs; compile it again"
    with pytest.raises(ConfigurationError, match=message):
        rehearse(code_version='{"components/errors.py": "0123456789ab"}')
    assert not (tmp_path / "root").exists()


def test_an_image_without_the_project_is_refused_with_the_reason(machine, rehearse):
    machine.has("docker", instead="#!/bin/sh\n[ $1 = image ] || { echo x: No module named pipeline >&2; exit 1; }\n")
    with pytest.raises(ConfigurationError, match=f"docker can run, got '{IMAGE}', .* No module named pipeline"):
        rehearse()


def test_the_image_is_looked_for_in_every_store_and_never_fetched(machine, rehearse):
    machine.has("docker")
    machine.has("buildah", IMAGE)
    assert rehearse() == ExitStatus.FINISHED
    assert [call[0] for call in machine.calls("run")] == ["buildah", "buildah"]
    assert {call[2] for call in machine.calls("from")} == {"--pull-never"}


def test_where_no_program_has_the_image_each_answer_is_told(machine, rehearse):
    machine.has("podman")
    with pytest.raises(ConfigurationError) as caught:
        rehearse()
    for part in (f"'{IMAGE}'", "make image", "docker is not installed", "podman has no such image", "buildah is not installed"):
        assert part in str(caught.value)


def test_a_command_that_fails_in_the_container_is_reported_with_its_log(machine, rehearse, tmp_path):
    machine.has("buildah", IMAGE)
    assert rehearse("import sys; print('petals: none left', file=sys.stderr); sys.exit(7)") == ExitStatus.NODE_FAILED
    assert "task ExampleGen ended with exit status 7: petals: none left" in record(tmp_path)["error"]


def test_no_container_of_buildah_is_left_even_by_a_command_that_fails(machine, rehearse):
    machine.has("buildah", IMAGE)
    rehearse("raise SystemExit(1)")
    made, removed = machine.calls("from"), machine.calls("rm")
    assert len(made) == len(removed) == 2  # one that asks for the code's version, one for the task
    assert {call[2] for call in removed} == {"flowers-working-container"}
