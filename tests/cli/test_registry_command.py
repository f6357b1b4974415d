"""`flowers registry …` as a user calls it: what each action prints, returns and changes."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from cli.main import main
from contracts.content_hash import content_hash
from contracts.layout import Layout
from contracts.text import visible
from registry import publishing
from registry.mlflow_backend import MlflowBackend

# A folder's name with what would move a terminal's cursor, and what rich would take for markup.
SOURCE = "/photos/[bold]\x1b[2J"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A registry of three versions: 2 is champion after 1, and 3 was withheld."""
    root = tmp_path_factory.mktemp("root")
    registry = MlflowBackend(str(Layout.at(str(root / "DIR")).registry), "flowers-backbone")
    for number, judged_against in ((1, None), (2, "1"), (3, "1")):
        paths = {}
        for kind in ("backbone", "probe"):
            paths[kind] = root / f"{kind}{number}"
            paths[kind].mkdir()
            (paths[kind] / f"{kind}.json").write_text(json.dumps({"number": number}))
        backbone, probe = str(paths["backbone"]), str(paths["probe"])
        publishing.publish(
            registry, backbone=backbone, probe=probe, backbone_hash=content_hash(backbone), probe_hash=content_hash(probe),
            judged_against=judged_against, card="# Model card",
            tags={
                "accuracy": f"0.6{number}", "floor": "0.46", "run_id": f"run-{number}", "data_source": SOURCE,
                "data_fingerprint": "f" * 64, "eval_split": "e" * 64, "reasons": json.dumps(["good enough"]),
                "mlmd_probe_id": "11", "eval_examples": "360",
            },
        )  # fmt: skip
    return root / "DIR"


@pytest.fixture
def root(empty, tmp_path):
    return shutil.copytree(empty, tmp_path / "DIR")


def registry(root, *arguments, status=0):
    assert main(["registry", *arguments, "--root", str(root)]) == status


def test_list_shows_standing_and_the_history_of_champions(root, capsys):
    registry(root, "list")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "[bold]" in shown
    rows = [row for row in shown.splitlines() if row.startswith("│")]
    assert [re.split(r"\s*│\s*", row)[1:5] for row in rows[:3]] == [
        # 3 is more accurate on the same photographs: it took the alias from 2, which is the previous champion.
        ["1", "former champion", "61.0 %", "46.0 %"], ["2", "previous champion", "62.0 %", "46.0 %"],
        ["3", "champion", "63.0 %", "46.0 %"],
    ]  # fmt: skip
    assert sum("published" in row for row in rows) == 3


def test_show_gives_lineage_figures_with_their_random_init_baseline_and_the_standing(root, capsys):
    registry(root, "show", "2")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    positions = [shown.index(text) for text in ("f" * 64, "run-2", "artifact 11", "e" * 64, "\n  backbone")]
    assert positions == sorted(positions)  # data, run, probe, evaluation, backbone
    assert "Figures on 360 held-out photographs" in shown
    assert "62.0 %; random-init baseline 46.0 %" in shown
    assert "judged against champion version 1" in shown and "- good enough" in shown
    assert "champion (published) by run run-2" in shown and "replaced by version 3 (published) by run run-3" in shown


def test_promote_and_rollback_move_the_alias_and_keep_the_reason(root, capsys):
    registry(root, "promote", "1", "--reason", "works in the field")
    assert "version 1 is champion now, in place of version 3" in capsys.readouterr().out
    registry(root, "promote", "1")
    assert "already" in capsys.readouterr().out
    registry(root, "rollback", "--reason", "it does not")
    assert "version 3 is champion now, in place of version 1" in capsys.readouterr().out
    registry(root, "show", "1")
    shown = capsys.readouterr().out
    assert "(promoted) by flowers registry promote, " in shown and ": works in the field" in shown
    assert "(rolled back) by flowers registry rollback, " in shown and ": it does not" in shown


def test_what_cannot_be_done_is_said_with_exit_status_2_and_changes_nothing(root, tmp_path, capsys):
    for arguments, message in (
        (("promote", "9"), "no version or alias '9'; versions: 1, 2, 3"),
        (("show", "9"), "no version or alias '9'"),
        (("rollback", "--reason", " "), "needs a reason"),
    ):
        registry(root, *arguments, status=2)
        assert message in capsys.readouterr().err
    registry(tmp_path / "nowhere", "rollback", "--reason", "x", status=2)
    assert "no champion to roll back from" in capsys.readouterr().err
    registry(root, "list", "--name", "it's", status=2)
    assert "registry.name must be letters" in capsys.readouterr().err
    for arguments in (["rollback"], ["prune"], ["prune", "--keep", "-1"]):
        with pytest.raises(SystemExit) as end:
            main(["registry", *arguments])
        assert end.value.code == 2
    assert not (tmp_path / "nowhere").exists()


def test_prune_says_what_goes_and_what_stays(root, capsys):
    registry(root, "prune", "--keep", "1", "--dry-run")
    assert "version 1: would be deleted" in capsys.readouterr().out
    registry(root, "prune", "--keep", "1")
    shown = capsys.readouterr().out
    assert re.findall(r"version (\d): (\w+)", shown) == [("2", "kept"), ("3", "kept"), ("1", "deleted")]
    assert "the previous champion, which a rollback returns to" in shown
    registry(root, "verify")
    assert "2 versions of flowers-backbone checked, 0 damaged" in capsys.readouterr().out
    registry(root, "prune", "--keep", "1")
    assert "nothing to delete" in capsys.readouterr().out


def test_verify_tells_unsigned_wrongly_signed_and_changed_apart_with_an_exit_status_each(root, tmp_path, capsys):
    opened = MlflowBackend(str(root / "registry"), "flowers-backbone")
    path = {version.version: pathlib.Path(version.path) for version in opened.versions()}
    registry(root, "verify")
    assert re.findall(r"version (\d): as registered, signed by key [0-9a-f]{16} ", capsys.readouterr().out) == ["1", "2", "3"]

    before = {one.name for one in (root / "keys" / "trusted").iterdir()}
    (root / "keys" / "signing.pem").rename(tmp_path / "mine.pem")
    registry(root, "sign", "1")  # by a new key, which is trusted from then on
    (new,) = {one.name for one in (root / "keys" / "trusted").iterdir()} - before
    (root / "keys" / "trusted" / new).rename(tmp_path / "new.pem")
    registry(root, "verify", "1", "2", status=6)
    shown = capsys.readouterr().out
    assert f"version 1: as registered, SIGNED BY ANOTHER KEY, {new[:-4]} (" in shown
    assert f"copy its public half into {root}/keys/trusted" in shown
    assert "2 versions of flowers-backbone checked, 0 damaged, 1 signed by another key" in shown
    registry(root, "verify", "1", "--key", str(tmp_path / "new.pem"))

    (path["3"] / "provenance.json").unlink()
    registry(root, "verify", status=1)  # the worst counts
    assert "version 3: DIFFERS from what was registered" in capsys.readouterr().out
    registry(root, "sign", "3", "--key", str(tmp_path / "mine.pem"))
    assert "version 3 was not as it was registered or signed; it is signed by key" in capsys.readouterr().out

    opened.set_version_tag("2", "signed_by_key", "")
    (path["2"] / "model.sig").unlink()
    registry(root, "verify", "2", "3", status=5)
    shown = capsys.readouterr().out
    assert "version 2: as registered, NOT SIGNED (" in shown and "`flowers registry sign 2` signs it" in shown
    registry(root, "show", "2")
    assert "signature     none recorded" in capsys.readouterr().out


def test_what_cannot_be_signed_or_verified_with_is_said(root, tmp_path, capsys):
    (tmp_path / "note.pem").write_text("no key")
    registry(root, "sign", "1", "--key", str(tmp_path / "note.pem"), status=2)
    assert "note.pem (registry.signing_key) must be a private key in PEM" in capsys.readouterr().err
    registry(root, "verify", "--key", str(tmp_path / "note.pem"), status=2)
    assert "note.pem must be a public key in PEM" in capsys.readouterr().err
    registry(root, "verify", "--key", str(tmp_path / "none.pem"), status=2)
    assert "there is no key at" in capsys.readouterr().err
    registry(tmp_path / "nowhere", "sign", "1", status=2)
    assert "no version or alias '1'" in capsys.readouterr().err and not (tmp_path / "nowhere").exists()


def test_text_for_a_terminal_is_one_line_without_control():
    assert visible("a\x1b[2J\nb\u202e✿") == "a\\x1b[2J\\nb\\u202e✿"


# It starts MLflow's server.
@pytest.mark.slow
def test_the_page_is_mlflow_s_on_localhost_alone_with_telemetry_off(root, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "registry", "ui", "--root", str(root), "--port", str(port)], env=bare, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
    try:
        assert f"http://127.0.0.1:{port}/#/models" in process.stdout.readline().decode()
        assert f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning" in process.stdout.readline().decode()
        assert b"<title>MLflow</title>" in _get(port, "/", process)
        found = json.loads(_get(port, "/api/2.0/mlflow/registered-models/search", process))
        assert [(model["name"], model["aliases"]) for model in found["registered_models"]] == [
            ("flowers-backbone", [{"alias": "champion", "version": "3"}])]  # fmt: skip
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            environment = file.read().split(b"\0")
        assert b"MLFLOW_DISABLE_TELEMETRY=true" in environment
        with pytest.raises(OSError):
            socket.create_connection((_own_address(), port), timeout=5).close()
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        process.communicate(timeout=60)
    assert sorted(path.name for path in (root / "registry").iterdir()) == ["lock", "mlflow.db", "versions", "versions.json"]
    assert list(tmp_path.iterdir()) == [root]


def test_the_page_needs_a_registry_and_a_free_port(root, tmp_path, capsys):
    registry(tmp_path / "nowhere", "ui", status=2)
    assert "--root must be a directory with a registry" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        registry(root, "ui", "--port", str(taken.getsockname()[1]), status=2)
    assert "--port must be a free port" in capsys.readouterr().err


def _get(port, path, process):
    for _ in range(1500):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.read()
        except OSError:
            assert process.poll() is None, process.stdout.read().decode()
            time.sleep(0.2)
    raise AssertionError("the page did not come up")


def _own_address():
    """An address of this machine other than localhost: 127.0.0.2 is one on every Linux."""
    return "127.0.0.2"
