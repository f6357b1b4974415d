"""README and docs say what is so: every command is understood by what it calls, and those that can run here within seconds do run.

Names in capitals (FOLDER, PROJECT, …) stand for the reader's own; PLACEHOLDERS says what they become here. Commands run in a
folder whose `runs/` is that of a finished run, as a reader has it after `make run`. The id of each test says what was done:

    runs           the command ran here and ended with status 0
    parsed         the real parser took it, and its settings are valid; it takes minutes, Google Cloud or a registry of its own
    make           make knows the target
    script         the script exists and has every option
    docker         what follows the image's name was taken by the real parser
    elsewhere      another program's command, for another machine: bash found its syntax right, nothing more
"""

import inspect
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import types

import pytest
from tiny import PATIENCE_SECONDS

import pipeline
from cli import arguments, doctor_libraries
from cli.main import main, parser
from contracts.layout import Layout
from pipeline import in_python
from tests.docs import documents

PROJECT = documents.PROJECT

# Verbs (and actions) that only read or write a file that they are told, within seconds.
RUN = (("registry", "list"), ("registry", "show"), ("registry", "verify"), ("doctor",), ("compile",), ("completion",), ("embed",),
       ("search",), ("predict",), ("report",), ("runs",))  # fmt: skip
# Programs whose commands are for other machines, or for an administrator of this one.
ELSEWHERE = ("apt-get", "buildah", "cd", "cp", "curl", "debootstrap", "docker", "du", "export", "find", "gcloud", "git",
             "label-studio", "mkdir", "mlflow", "model_signing", "openssl", "podman", "rm", "rsync", "sqlite3")  # fmt: skip
PLACEHOLDERS = {"PROJECT": "a-project", "PROJECT_ID": "a-project", "REGION": "europe-west4", "REPOSITORY": "images",
                "BUCKET": "a-bucket", "PHOTOGRAPHS": "photographs", "TAG": "1", "VERSION": "1", "N": "3", "MODULE": "x"}  # fmt: skip


@pytest.fixture
def workplace(tmp_path, finished_run):
    """A reader's folder: `runs/` of a finished run, `rose.jpg`, and what PLACEHOLDERS become in it."""
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "runs").symlink_to(finished_run.root)
    picture = next(finished_run.folder.rglob("*.jpg"))
    (folder / "rose.jpg").write_bytes(picture.read_bytes())
    version = min(path.parent.name for path in (finished_run.root / "registry" / "versions").glob("*/backbone"))
    words = PLACEHOLDERS | {"FOLDER": str(finished_run.folder), "RUNS": str(finished_run.root), "HASH": version}
    return folder, words


def substituted(text: str, words: dict[str, str]) -> str:
    """`text` with each name in capitals replaced by what `words` has for it."""
    # gs://BUCKET/FOLDER is a folder in a bucket, not one of this machine.
    text = re.sub(r"(gs://\S*?)\bFOLDER\b", r"\1folder", text)
    return re.sub(r"\b[A-Z][A-Z_]*\b", lambda found: words.get(found[0], found[0]), text)


def flowers_arguments(command: str) -> list[str] | None:
    """The arguments of `flowers` in a command; None where it does not call it."""
    inner = re.search(r"\$\((flowers [^)]*)\)|^(flowers [^|]*)\|", command)  # eval "$(flowers …)", flowers … | source
    words = shlex.split(inner[1] or inner[2] if inner else command, comments=True)
    while words and re.fullmatch(r"\w+=\S*", words[0]):
        words = words[1:]
    return words[1:] if words and pathlib.PurePath(words[0]).name == "flowers" else None


def kind(command: documents.Command) -> str:
    """What is done with it; see the top of this file."""
    called = flowers_arguments(command.text)
    if called is not None:
        here = any(tuple(called[: len(verb)]) == verb for verb in RUN) and not {"--vertex", "--registry"} & {*called}
        return "runs" if here else "parsed"
    words = command.words
    ours = any(word.startswith("flowers:") for word in words) and "--entrypoint" not in words
    if words[:2] == ["docker", "run"] and ours:
        return "docker"
    if words[0] == "make":
        return "make"
    if pathlib.PurePath(words[0]).name.startswith("python") or _of_project(words[0]):
        return "script"
    return "elsewhere" if pathlib.PurePath(words[0]).name in ELSEWHERE or re.match(r"\w+=\$\(", words[0]) else "unknown"


def _of_project(word: str) -> bool:
    return not word.startswith(".venv/") and (PROJECT / word).is_file()


# A command that stands in several places is tried once, where it stands first.
COMMANDS = list({one.text: one for one in reversed(documents.commands())}.values())[::-1]


def of_kind(wanted) -> list:
    """The commands whose kind is wanted, as parameters of a test."""
    return [pytest.param(one, id=f"{kind(one)}: {one}") for one in COMMANDS if wanted(kind(one))]


@pytest.mark.parametrize("command", of_kind(lambda one: one == "runs"))
def test_commands_that_end_within_seconds_run(command, workplace, forked, monkeypatch, capfd):
    folder, words = workplace
    monkeypatch.chdir(folder)
    # The doctor imports the libraries in a process of its own: here a fork.
    monkeypatch.setattr(doctor_libraries, "subprocess", types.SimpleNamespace(
        run=lambda command, **options: forked.run(command[1:], env=os.environ | {"PYTHONPATH": str(PROJECT)}, **options),
        TimeoutExpired=subprocess.TimeoutExpired))  # fmt: skip
    called = flowers_arguments(substituted(command.text, words))
    understood(called)
    if "--index" in called:  # which a command before has written
        assert main(["embed", words["FOLDER"], "-o", called[called.index("--index") + 1]]) == 0
    # The folder that stands for the reader's has 60 photographs, fewer than a batch of the larger presets.
    small = ["--set", "pretrain.batch_size=16"] if called[0] == "doctor" else []
    assert main([*called, *small]) == 0


@pytest.mark.parametrize("command", of_kind(lambda one: one != "runs"))
def test_other_commands_are_understood_by_what_they_call(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = PLACEHOLDERS | {"FOLDER": str(tmp_path), "RUNS": "runs", "HASH": "0123"}
    CHECKS[kind(command)](command, substituted(command.text, words))


def parsed(command, text):
    understood(flowers_arguments(text))


def understood(called):
    try:
        found = parser().parse_args(called)
    except SystemExit:
        pytest.fail(f"the parser refuses flowers {shlex.join(called)}")
    if hasattr(found, "overrides"):
        arguments.configuration(found)


def docker(command, text):
    words = shlex.split(text, comments=True)
    image = next(index for index, word in enumerate(words) if word.startswith("flowers:"))
    understood(words[image + 1 :])


def make(command, text):
    subprocess.run(["make", "--dry-run", *shlex.split(text, comments=True)[1:]], cwd=PROJECT, check=True, capture_output=True)


def script(command, text):
    words = shlex.split(text, comments=True)
    if _of_project(words[0]):
        assert os.access(PROJECT / words[0], os.X_OK)
        return
    words = words[1:]
    if words[:1] == ["-m"]:
        assert words[1] in ("pytest",), f"{command}: {words[1]} is not known here"
        assert all((PROJECT / word.split("::")[0]).exists() for word in words[2:] if word.startswith("tests/"))
        return
    source = (PROJECT / words[0]).read_text()
    for option in (word.split("=")[0] for word in words if word.startswith("--")):
        assert f'"{option}"' in source, f"{command}: {words[0]} has no option {option}"


def elsewhere(command, text):
    subprocess.run(["bash", "-n", "-c", text], check=True)


def unknown(command, text):
    pytest.fail(f"{command}: no check knows this program; if its commands are for other machines, it belongs into ELSEWHERE")


CHECKS = {"parsed": parsed, "docker": docker, "make": make, "script": script, "elsewhere": elsewhere,
          "unknown": unknown}  # fmt: skip


def test_there_are_commands_of_every_kind_and_no_document_is_left_out():
    assert {kind(command) for command in COMMANDS} >= {"runs", "parsed", "make", "docker", "elsewhere"}
    assert {path.name for path in documents.DOCUMENTS} >= {"README.md", "operations.md", "vertex.md"}


@pytest.mark.parametrize("span", sorted({text for _, text in documents.spans() if re.match(r"(\.venv/bin/)?flowers [a-z]", text)}))
def test_commands_in_running_text_name_verbs_that_exist(span):
    called = flowers_arguments(span.replace("…", ""))
    verbs = [called[0].partition("|")[0], *(["--help"] if len(called) < 2 else [called[1].partition("|")[0], "--help"])]
    takes_an_action = verbs[0] in ("registry", "schedule")
    with pytest.raises(SystemExit) as end:
        parser().parse_args(verbs if takes_an_action else [verbs[0], "--help"])
    assert end.value.code == 0


@pytest.mark.parametrize("document", sorted({block.document for block in documents.blocks("python")}))
def test_python_blocks_run_in_their_order(document, workplace, forked):
    folder, words = workplace
    code = "\n".join(substituted(block.text, words) for block in documents.blocks("python") if block.document == document)
    process = forked.run(["-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
                         timeout=PATIENCE_SECONDS)  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]


def test_the_ten_lines_that_run_the_pipeline_run(workplace, finished_run, monkeypatch, capsys):
    """All but the run itself, which takes minutes: its arguments are checked, and its result is that of the finished run."""
    (block,) = documents.blocks("py")
    called = inspect.signature(pipeline.run)

    def checked(*arguments, **options):
        bound = called.bind(*arguments, **options).arguments
        in_python._configuration(bound["preset"], {"data.source": bound["data"]}, bound["settings"])
        return in_python.result(finished_run.record(0), Layout.at(str(finished_run.root)))

    monkeypatch.setattr(in_python, "run", checked)
    assert len([line for line in block.text.splitlines() if line]) <= 10
    exec(compile(substituted(block.text, workplace[1]), str(block), "exec"), {})
    assert "is champion" in capsys.readouterr().out


def test_the_code_of_a_model_card_runs_beside_it(finished_run, forked, tmp_path):
    (card,) = (finished_run.root / "registry" / "versions").glob("*/MODEL_CARD.md")
    shutil.copytree(card.parent, tmp_path, dirs_exist_ok=True)
    shutil.copy(next(finished_run.folder.rglob("*.jpg")), tmp_path / "rose.jpg")
    text = card.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shape = re.search(r"Output `embedding`: `\[batch, (\d+)\]` float32", text)[1]
    says = f"assert vectors.shape == (1, {shape}) and vectors.dtype == 'float32' and float(tf.reduce_min(vectors)) >= 0"
    process = forked.run(["-c", f"{code}\n{says}"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, process.stderr[-3000:]


@pytest.mark.parametrize(("document", "target"), sorted(documents.links(), key=str))
def test_links_lead_somewhere(document, target):
    path, _, anchor = target.partition("#")
    file = (document.parent / path) if path else document
    assert file.exists(), f"{document.name}: {target}"
    assert not anchor or anchor in documents.anchors(file), f"{document.name}: {target}"
