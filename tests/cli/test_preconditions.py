"""What is refused before any library is imported: in one line that says what to do, with nothing written."""

import errno
import os
import pathlib
import socket
import sys

import pytest

import pipeline_config
from cli import arguments
from cli.main import main, parser
from cli.terminal import say_loading
from contracts.layout import Layout
from pipeline import preconditions, settings
from pipeline_config import ConfigurationError

CRON = ("schedule", "create", "w", "--local", "--cron", "0 3 * * 1")


@pytest.fixture
def flowers(tmp_path, capsys, monkeypatch):
    """Runs a verb in an empty folder, without the libraries; returns its exit status and its lines on standard error."""
    monkeypatch.chdir(tmp_path)
    for name in ("tensorflow", "tfx", "apache_beam"):
        monkeypatch.setitem(sys.modules, name, None)  # whoever imports it gets an ImportError

    def run(*words):
        status = main(words)
        return status, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
@pytest.mark.parametrize("verb", [("run",), ("submit", "--project", "p", "--region", "r", "--bucket", "b", "--image", "i"), CRON])
def test_presets_for_one_s_own_photographs_need_data(flowers, verb, preset):
    status, (line,) = flowers(*verb, "--preset", preset)
    assert status == 2 and f"the preset {preset} is for photographs of your own: add --data FOLDER" in line
    assert "--preset quick" in line and os.listdir() == []


def test_data_may_be_named_by_its_option_or_by_its_setting():
    for words in (["--data", "synthetic"], ["--set", "data.source=synthetic"]):
        assert arguments.configuration(parser().parse_args(["run", "--preset", "cpu", *words])).data.source == "synthetic"


@pytest.mark.parametrize(("words", "message"), [
    (["--data", "photos/2026"],
     "data.source: there is no folder {here}/photos/2026; check the path given with --data ({here}/photos exists)"),
    (["--data", "photo"], "there is no folder {here}/photo; check the path given with --data; did you mean {here}/photos?"),
    (["--data", "Fotos/rose"], "there is no folder {here}/Fotos/rose; check the path given with --data; did you mean {here}/photos?"),
    (["--data", "roses.zip"], "roses.zip is a file, and --data takes a folder; unpack it, and name the folder"),
    (["--data", "labels.csv"], "labels.csv is a file, and --data takes a folder; name the folder of its photographs, and this file"),
    (["--data", "rose.jpg"], "rose.jpg is a file, and --data takes a folder; name the folder that it is in"),
    (["--data", "empty"], "the folder {here}/empty is empty"),
    (["--data", "photos", "--unlabelled", "nowhere"], "data.unlabelled: there is no folder {here}/nowhere; check the path"),
    (["--data", "photos", "--labels", "l.json"], "data.labels: there is no file {here}/l.json"),
    (["--data", "photos", "--labels", "empty"], "data.labels: {here}/empty is a folder; --labels takes a file"),
])  # fmt: skip
@pytest.mark.parametrize("verb", [("run", "--root", "DIR"), CRON])
def test_a_source_that_cannot_be_read_is_named(flowers, tmp_path, verb, words, message):
    for folder in ("photos", "empty"):
        pathlib.Path(folder).mkdir()
    pathlib.Path("empty/.hidden").touch()
    for file in ("photos/rose.jpg", "roses.zip", "labels.csv", "rose.jpg"):
        pathlib.Path(file).touch()
    status, (line,) = flowers(*verb, *words)
    assert status == 2 and message.format(here=tmp_path) in line
    assert not pathlib.Path("DIR").exists()


def test_a_refused_run_leaves_the_latest_as_it_is(flowers, tmp_path):
    (tmp_path / "DIR" / "runs" / "one").mkdir(parents=True)
    (tmp_path / "DIR" / "latest").symlink_to("runs/one")
    before = sorted(tmp_path.rglob("*"))
    assert flowers("run", "--data", "nowhere", "--root", "DIR")[0] == 2
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "DIR" / "latest").readlink() == pathlib.Path("runs/one")


@pytest.mark.parametrize(("files", "most"), [
    ({"rose": 10, "tulip": 10}, 16),  # of each class round(0.15 x 10) = 2 are held out
    ({"rose": 3, "tulip": 3}, 4),  # and of a small one, one photograph
    ({"rose": 10, "tulip": 10, "unlabelled": 9}, 25), ({"rose": 10, "tulip": 10, ".": 5}, 21),
    ({"train/rose": 10, "train/tulip": 10, "eval/rose": 1, "eval/tulip": 1}, 22),  # divided already: nobody knows here how
])  # fmt: skip
def test_a_batch_of_more_than_can_be_left_for_training_is_refused(tmp_path, files, most):
    for name, count in files.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (tmp_path / name / f"{index}.jpg").touch()

    def check(batch):
        preconditions.require_a_batch(settings.configuration("quick", [f"data.source={tmp_path}", f"pretrain.batch_size={batch}"]))

    check(most)
    with pytest.raises(pipeline_config.ConfigurationError, match=f"is {most + 1}, but .* at most {most} photographs to learn from.*"
                       f"--set pretrain.batch_size={most // 4 if most > 8 else 2}"):  # fmt: skip
        check(most + 1)
    (tmp_path / "lily").symlink_to(tmp_path)  # what is behind a link to a folder is not counted
    check(most + 1)


def test_more_synthetic_flowers_in_a_batch_than_for_training_are_refused():
    config = settings.configuration("quick", ["data.synthetic_images=40", "pretrain.batch_size=35"])
    with pytest.raises(pipeline_config.ConfigurationError, match="synthetic has at most 34 photographs"):
        preconditions.require_a_batch(config)


def test_a_folder_or_nothing_at_all_is_no_query(flowers):
    pathlib.Path("photos").mkdir()
    status, (line,) = flowers("search", "rose.jpg", "--index", "index.parquet")
    assert status == 2 and line == "flowers: there is no index index.parquet; `flowers embed SOURCE -o index.parquet` makes one"
    pathlib.Path("index.parquet").touch()
    status, (line,) = flowers("search", "photos", "--index", "index.parquet")
    assert status == 2 and line == "flowers: photos is a folder; a query is an image file, such as those of photos/*.jpg"
    status, (line,) = flowers("search", "rose.jpg", "--index", "index.parquet")
    assert status == 2 and line == "flowers: rose.jpg: there is no such file; a query is an image file"


@pytest.mark.parametrize("words", [
    ("embed", "nowhere", "-o", "i.parquet"), ("predict", "nowhere", "-o", "p.csv"), ("select", "nowhere", "--count", "3", "-o", "s.csv"),
    ("select", ".", "--unlabelled", "nowhere", "--count", "3", "-o", "s.csv"),
])  # fmt: skip
def test_a_source_to_be_used_must_be_there(flowers, words):
    status, (line,) = flowers(*words)
    assert status == 2 and "there is no folder or file 'nowhere'" in line and os.listdir() == []


@pytest.mark.parametrize("words", [
    ("embed", "synthetic", "-o", "i.parquet"), ("predict", "synthetic", "-o", "p.csv"), ("search", "q.jpg", "--index", "q.jpg"),
    ("select", "synthetic", "--count", "3", "-o", "s.csv"),
])  # fmt: skip
def test_what_uses_a_registered_version_needs_a_registry(flowers, tmp_path, words):
    pathlib.Path("q.jpg").touch()
    status, (line,) = flowers(*words, "--root", "DIR")
    assert status == 2 and line.startswith(f"flowers: there is no registry at {tmp_path}/DIR/registry; ")
    assert not pathlib.Path("DIR").exists()


@pytest.mark.parametrize("loaded", [True, False])
def test_what_waits_for_libraries_says_so_first(monkeypatch, capsys, loaded):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if loaded:
        monkeypatch.setitem(sys.modules, "tensorflow", sys)
    say_loading()
    assert capsys.readouterr().err == ("" if loaded else "Loading TensorFlow …\n")


def test_a_setting_that_is_given_twice_must_have_one_value(flowers):
    status, (line,) = flowers("run", "--data", "synthetic", "--set", "data.source=tfds:mnist")
    assert status == 2 and "data.source is given twice, as 'synthetic' by its option and as 'tfds:mnist' by --set" in line


def test_epochs_and_rate_that_are_set_count_for_a_warm_start_too():
    def warm(*overrides):
        pretrain = settings.for_warm_start(settings.configuration("quick", overrides), overrides).pretrain
        return pretrain.warm_start_epochs, pretrain.warm_start_learning_rate

    usual = warm()
    assert usual == (pipeline_config.QUICK.pretrain.warm_start_epochs, pipeline_config.QUICK.pretrain.warm_start_learning_rate)
    assert warm("pretrain.epochs=2") == (2, usual[1]) and warm("pretrain.base_learning_rate=0.25") == (usual[0], 0.25)
    assert warm("pretrain.epochs=2", "pretrain.warm_start_epochs=3") == (3, usual[1])


@pytest.mark.parametrize(("root", "error"), [
    ("file", "a file is where a folder must be"), ("file/below", "a file is where a folder must be"),
    ("gone", "No such file or directory")])  # fmt: skip
def test_a_root_that_is_no_folder_is_refused(flowers, tmp_path, root, error):
    pathlib.Path("file").touch()
    pathlib.Path("gone").symlink_to("nowhere")
    status, (line,) = flowers("run", "--root", root)
    assert status == 2 and line.startswith(f"flowers: {tmp_path / pathlib.PurePath(root).parts[0]} cannot be written to: {error}")
    assert "choose another place with --root" in line


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_what_this_user_may_not_write_is_refused(flowers, tmp_path, monkeypatch, number):
    def refuses(**_):
        raise OSError(number, os.strerror(number), str(tmp_path / "secret"))

    monkeypatch.setattr(preconditions.tempfile, "NamedTemporaryFile", refuses)
    status, (line,) = flowers("run", "--root", "DIR")
    assert status == 2 and f"{tmp_path} cannot be written to: {os.strerror(number)}; choose another place" in line


def test_a_DIR_of_which_another_user_owns_a_part_is_refused(tmp_path, monkeypatch):
    """As a container that ran as root leaves it; root itself may write everywhere, so what the system says is replaced."""
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(preconditions.os, "access", lambda path, mode: path != tmp_path / "runs")
    with pytest.raises(pipeline_config.ConfigurationError, match=f"{tmp_path / 'runs'} cannot be written to: Permission denied"):
        preconditions.require_writable(Layout(tmp_path))


def test_a_key_that_cannot_sign_is_refused_before_anything_is_read(flowers, tmp_path):
    (tmp_path / "note.pem").write_text("no key")
    for name, message in (("note.pem", "must be a private key in PEM"), ("none.pem", "there is no key at")):
        status, (line,) = flowers("run", "--set", f"registry.signing_key={name}")
        assert status == 2 and message in line and str(tmp_path / name) in line
    assert os.listdir() == ["note.pem"]


def test_an_error_of_the_system_later_is_one_line_too(flowers, monkeypatch):
    def refuses(parsed):
        raise PermissionError(errno.EACCES, "Permission denied", "/secret/file")

    monkeypatch.setattr("cli.report._report", refuses)
    status, (line,) = flowers("report")
    assert status == 2 and line.startswith("flowers: /secret/file cannot be written to: Permission denied; ")


@pytest.mark.parametrize(("driver", "environment", "refused"), [
    (True, {}, ""), (False, {}, "this machine has no driver of one"),
    (True, {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES= hides all"),
    (True, {"CUDA_VISIBLE_DEVICES": "-1"}, "hides all"), (True, {"CUDA_VISIBLE_DEVICES": "1"}, ""),
])  # fmt: skip
def test_the_preset_gpu_is_refused_where_there_can_be_no_gpu(tmp_path, monkeypatch, driver, environment, refused):
    (tmp_path / "driver").touch()
    monkeypatch.setattr(preconditions, "GPU_DRIVERS", (str(tmp_path / ("driver" if driver else "none")),))
    preconditions.require_gpu_driver(pipeline_config.CPU, environment)
    for setting in ("pretrain.min_gpus=0", "pretrain.allow_cpu=true"):
        preconditions.require_gpu_driver(settings.configuration("gpu", [setting]), environment)
    if not refused:
        preconditions.require_gpu_driver(pipeline_config.GPU, environment)
        return
    with pytest.raises(pipeline_config.ConfigurationError, match=f"{refused}.*--allow-cpu"):
        preconditions.require_gpu_driver(pipeline_config.GPU, environment)


def test_no_machine_with_gpus_is_asked_for_by_a_preset_for_processors():
    for preset in pipeline_config.PRESETS.values():
        assert (preset.vertex.pretrain.accelerators > 0) == (preset.pretrain.min_gpus > 0)


@pytest.mark.parametrize("option", ["-v", "--verbose", "-q", "--quiet"])
def test_libraries_do_not_see_our_arguments(monkeypatch, option):
    """absl's flag -v takes a number; TFX lets absl read sys.argv."""
    seen = []
    monkeypatch.setattr(sys, "argv", ["flowers", "run", option])
    monkeypatch.setattr("cli.run._run", lambda parsed: seen.append((list(sys.argv), parsed.given)) or 0)
    assert main() == 0
    assert seen == [(["flowers"], ["run", option])] and sys.argv == ["flowers", "run", option]


def test_a_job_server_that_is_not_there_is_said_before_anything_starts(flowers):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    status, (line,) = flowers("run", "--beam-endpoint", f"127.0.0.1:{port}")
    assert status == 2 and f"--beam-endpoint 127.0.0.1:{port}: no job server can be reached there (Connection refused)" in line
    assert "start one, for example `python -m apache_beam.runners.portability.local_job_service_main --port PORT`" in line
    assert os.listdir() == []


def test_what_does_not_speak_as_a_job_server_is_none(monkeypatch):
    monkeypatch.setattr(preconditions, "JOB_SERVER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigurationError, match="what listens there is no job server"):
        preconditions.require_job_server(f"127.0.0.1:{other.getsockname()[1]}")


@pytest.mark.parametrize("endpoint", ["localhost", ":8099", "localhost:", "localhost:0", "localhost:70000", "http://localhost"])
def test_an_address_is_a_host_and_a_port(endpoint):
    with pytest.raises(ConfigurationError, match="--beam-endpoint must be HOST:PORT of a job server, such as localhost:8099"):
        preconditions.require_engine(endpoint, "")
    with pytest.raises(ConfigurationError, match="--beam-workers must be HOST:PORT of a pool of workers, such as localhost:50000"):
        preconditions.require_engine("localhost:8099", endpoint)


def test_a_pool_without_an_engine_that_asks_it_for_workers_is_refused(flowers):
    status, (line,) = flowers("run", "--beam-workers", "localhost:50000")
    assert status == 2 and "--beam-workers must be given with --beam-endpoint, whose engine asks it for workers" in line
    assert os.listdir() == []


def test_a_schedule_of_this_machine_keeps_the_engine(flowers, monkeypatch):
    kept = []
    monkeypatch.setattr("cli.schedule.create_local", lambda *given: kept.append(given[-1]) or 0)
    engine = ["--beam-endpoint", "server:8099", "--beam-workers", "localhost:50000"]
    flowers("schedule", "create", "nightly", "--local", "--cron", "0 3 * * *", *engine)
    assert kept == [engine]
