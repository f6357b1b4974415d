"""`from pipeline import run`: settings as the command line's, errors as exceptions, and a process that is left as it was."""

import asyncio
import gc
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from tiny import PROJECT

import pipeline_config
from cli import arguments
from cli.main import parser
from components.errors import DataRefused, SourceNotFound
from contracts import files, layout, memory
from contracts.layout import Layout
from pipeline import events, in_python, local, run
from pipeline_config import ConfigurationError
from trainer import threads


def test_importing_the_package_or_the_function_imports_nothing_heavy():
    heavy = ("tensorflow", "keras", "tfx", "numpy", "scipy", "mlflow", "rich", "PIL")
    code = f"import sys, pipeline; from pipeline import run; print([name for name in {heavy} if name in sys.modules], callable(run))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


@pytest.mark.parametrize(("settings", "words"), [
    ({"pretrain.epochs": 3, "pretrain.views.hue": 0.05}, ("pretrain.epochs=3", "pretrain.views.hue=0.05")),
    ({"data.follow_links": True, "data.exclude": ["*.png", "old/*"]}, ("data.follow_links=true", "data.exclude=*.png,old/*")),
    ({"data.crop": (0.5, 1)}, ("data.crop=0.5,1",)),
    ({"pretrain.epoch": 3}, ("pretrain.epoch=3",)),
    ({"pretrain.epochs": "three"}, ("pretrain.epochs=three",)),
    ({"pretrain.epochs": -1}, ("pretrain.epochs=-1",)),
    ({"vertex.poll_seconds": 3}, ("vertex.poll_seconds=3",)),
    ({"data.source": "elsewhere"}, ("data.source=elsewhere",)),
])  # fmt: skip
def test_settings_are_taken_and_refused_as_by_the_command_line(settings, words):
    def of_the_command_line():
        overrides = [argument for word in words for argument in ("--set", word)]
        return arguments.configuration(parser().parse_args(["run", "--data", "FOLDER", *overrides]))

    def of_python():
        found = in_python._configuration("quick", {"data.source": pathlib.Path("FOLDER")}, settings)
        assert found.data.source == os.path.abspath("FOLDER")
        return pipeline_config.dataclasses.replace(found, data=pipeline_config.dataclasses.replace(found.data, source="FOLDER"))

    answers = []
    for configuration in (of_the_command_line, of_python):
        try:
            answers.append(configuration())
        except ConfigurationError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("value", [None, {"a": 1}, b"5", [None]])
def test_a_value_that_no_setting_has_is_refused_with_its_key(value):
    with pytest.raises(ConfigurationError, match="^pretrain.epochs must be a number, text"):
        run(settings={"pretrain.epochs": value})


def test_what_is_wrong_before_a_run_leaves_nothing(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no folder"):
        run(tmp_path / "nowhere", root=tmp_path / "DIR")
    assert not (tmp_path / "DIR").exists()


def wilson(correct, photographs):
    """E. B. Wilson, JASA 22, 1927, with the normal quantile of 0.975."""
    z, p = 1.959963984540054, correct / photographs
    centre, half = p + z * z / (2 * photographs), z * (p * (1 - p) / photographs + z * z / (4 * photographs**2)) ** 0.5
    return pytest.approx(((centre - half) / (1 + z * z / photographs), (centre + half) / (1 + z * z / photographs)))


def test_a_result_has_the_figures_of_run_json_with_their_intervals(finished_run):
    record = finished_run.record(0)
    found = in_python.result(record, Layout.at(str(finished_run.root)))
    gate = record["gate"]
    for share, name in ((found.accuracy, "candidate"), (found.random_init, "untrained")):
        assert share.value == gate["metrics"][name]["accuracy"]
        assert (share.low, share.high) == wilson(round(share.value * gate["eval_examples"]), gate["eval_examples"])
    assert found.gain.value == pytest.approx(found.accuracy.value - found.random_init.value)
    assert found.gain.low <= found.gain.value <= found.gain.high
    assert (found.blessed, found.version, found.is_champion, found.champion) == (True, "1", True, None)
    assert found.reasons == tuple(gate["reasons"])
    assert files.read_json(found.run_json)["run_id"] == found.run_id == found.page.parent.name == found.log.parent.name
    assert found.page.is_file() and found.log.is_file()
    assert str(in_python.Accuracy(0.5, 0.25, 0.754)) == "50.0 % (25.0 % to 75.4 %)"
    assert str(in_python.Difference(0.132, -0.004, 0.177)) == "+13.2 points (−0.4 to +17.7)"


def test_without_labels_there_is_a_result_without_figures(finished_run):
    record = finished_run.record(0)
    record["gate"] |= {"metrics": None, "evidence": None, "eval_examples": 0, "blessed": False, "classes": []}
    record["registry"] |= {"version": None, "alias": None}
    found = in_python.result(record, Layout.at(str(finished_run.root)))
    assert (found.accuracy, found.random_init, found.champion, found.gain, found.version) == (None,) * 5
    assert not found.blessed and not found.is_champion


def surroundings():
    return ([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)], logging.getLogger().handlers[:],
            logging.getLogger().level, sys.stdout, sys.stderr, sys.argv[:], [os.fstat(number)[:3] for number in (1, 2)])  # fmt: skip


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """Runs what stands in place of the first look at the photographs, and checks that nothing is left behind."""
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])

    def attempt(does, **options):
        monkeypatch.setattr(local, "inspect_source", lambda *arguments: does())
        before = surroundings()
        try:
            run(root=tmp_path / "DIR", **options)
        finally:
            assert surroundings() == before
            assert not layout.active_run(tmp_path / "DIR" / "lock")

    return attempt


def raises(error):
    def raising():
        raise error

    return raising


def record(tmp_path):
    return files.read_json(tmp_path / "DIR" / "latest" / "run.json")


@pytest.mark.parametrize(("error", "status"), [
    (DataRefused("too few"), "refused"), (SourceNotFound("gone"), "failed"), (ConfigurationError("too large"), "failed")])  # fmt: skip
def test_an_error_of_the_caller_is_raised_as_it_is_and_recorded(attempt, tmp_path, error, status):
    with pytest.raises(type(error), match=f"^{error}$"):
        attempt(raises(error))
    assert record(tmp_path)["status"] == status


def test_any_other_names_its_place_and_the_log_which_has_the_traceback(attempt, tmp_path):
    with pytest.raises(in_python.RunFailed, match="^the run failed before its first node: ValueError: odd .traceback in ") as caught:
        attempt(raises(ValueError("odd")))
    assert isinstance(caught.value.__cause__, ValueError)
    log = pathlib.Path(str(caught.value).rpartition(" in ")[2].rstrip(")"))
    assert "Traceback" in log.read_text() and log.parent.name == record(tmp_path)["run_id"]


def test_cores_are_shared_before_anything_could_compute(attempt, monkeypatch):
    """After that TensorFlow's threads stay as they are; a network to start from computes as soon as it is looked at."""
    done = []
    monkeypatch.setattr(threads, "share_cores", lambda settings: done.append(settings.view_per_core))
    monkeypatch.setattr(local, "with_warm_start", lambda config, *arguments: done.append("start") or config)

    def looking():
        done.append("photographs")
        raise DataRefused("too few")

    with pytest.raises(DataRefused):
        attempt(looking, warm_start="3", settings={"pretrain.view_per_core": True})
    assert done == [True, "start", "photographs"]


def test_freed_memory_is_given_back_from_the_beginning_and_before_every_node(attempt, monkeypatch):
    done = []
    monkeypatch.setattr(memory, "give_back", lambda: done.append("memory"))

    def looking():
        done.append("photographs")
        assert gc.get_freeze_count() > 0
        for node in ("ExampleGen", "Pretrain"):
            logging.getLogger("absl").info(events.NODE_STARTS, node)
            done.append(node)
        raise DataRefused("too few")

    with pytest.raises(DataRefused):
        attempt(looking)
    assert done == ["memory", "photographs", "memory", "ExampleGen", "memory", "Pretrain"]
    assert gc.get_freeze_count() == 0


def test_what_libraries_write_goes_to_the_log_and_our_lines_to_the_caller(attempt, tmp_path, capsys):
    def libraries():
        print("a library prints")
        print("a library warns", file=sys.stderr)
        os.write(2, b"from C++\n")
        logging.getLogger("tensorflow").warning("a library logs")
        logging.getLogger("components").info("12 photographs")
        assert sys.argv == ["ipykernel_launcher.py"]
        raise DataRefused("enough")

    for options in ({}, {"say": lambda line: print("said:", line)}):
        with pytest.raises(DataRefused):
            attempt(libraries, **options)
        shown = capsys.readouterr()
        lines = shown.out.splitlines()
        prefix = "said: " if options else ""
        assert lines[0].startswith(f"{prefix}Run ") and lines[-1] == f"{prefix}  12 photographs" and len(lines) == 3
        assert shown.err == ""
        log = (tmp_path / "DIR" / "latest" / "log.txt").read_text()
        assert all(text in log for text in ("a library prints", "a library warns", "from C++", "a library logs", "12 photographs"))


def test_the_lines_of_a_script_come_through_although_descriptor_1_leads_to_the_log(tmp_path):
    code = ("import os, pathlib, sys\nfrom pipeline import in_python\n"
            "with in_python._shown(pathlib.Path(sys.argv[1]), print) as shown:\n"
            "    os.write(1, b'from C++\\n')\n    print('a library')\n    shown.say('our line')\nprint('afterwards')\n")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "log"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "our line\nafterwards\n" and (tmp_path / "log").read_text() == "from C++\na library\n"


@pytest.mark.parametrize("times", [1, 2])
def test_an_interruption_is_recorded_and_raised_and_a_second_does_not_end_the_process(attempt, tmp_path, times):
    def interrupted():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        finally:
            if times == 2:  # the user does not wait
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)
    assert record(tmp_path)["status"] == "interrupted"


def test_it_runs_where_an_event_loop_runs_as_in_a_notebook(attempt):
    async def cell():
        attempt(raises(DataRefused("reached")))

    with pytest.raises(DataRefused, match="reached"):
        asyncio.run(cell())


def test_keras_with_other_settings_is_refused(tmp_path, monkeypatch):
    class Keras:
        class config:
            backend, image_data_format, floatx = (
                staticmethod(lambda value=value: value) for value in ("torch", "channels_last", "float32")
            )

    monkeypatch.setitem(sys.modules, "keras", Keras)
    with pytest.raises(ImportError, match="backend 'torch' instead of 'tensorflow'.*call `pipeline.run`"):
        run(root=tmp_path)
