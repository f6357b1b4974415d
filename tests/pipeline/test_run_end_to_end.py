"""`flowers run` as a user starts it, in processes of its own, on a folder of 60 small drawn flowers.

What only looks at a finished run shares one; what runs further below its DIR has a copy of it.
"""

import io
import json
import os
import shutil
import signal
import time

import keras
import pytest
from PIL import Image
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

import inference
from components.synthetic_flowers import scene
from contracts.layout import Layout
from inference.export import export
from inference.export_formats import FORMATS
from pipeline import comparison
from pipeline_config import ConfigurationError, Supervised
from registry import reading
from registry.mlflow_backend import MlflowBackend

NODES = ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate",
         "Pretrain", "LinearEval", "Evaluator", "Pusher", "Report"]  # fmt: skip


def command(folder, root, *settings, options=()):
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    return ["-m", "pipeline", "run", "--data", str(folder), "--root", str(root), *overrides, *options]


@pytest.fixture
def run(forked, tmp_path):
    """run(folder, root, *settings, options=[…]) runs a command to its end. However it ends, it leaves no temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def ran(*arguments, **options):
        ended = forked.run(command(*arguments, **options), cwd=PROJECT, env={**os.environ, "TMPDIR": str(temporary)},
                           capture_output=True, text=True, timeout=PATIENCE_SECONDS)  # fmt: skip
        assert list(temporary.iterdir()) == []
        return ended

    return ran


@pytest.fixture
def root(finished_run, tmp_path):
    """DIR of a finished run, for one test alone."""
    return shutil.copytree(finished_run.root, tmp_path / "DIR", symlinks=True)


@pytest.fixture
def folder(small_folder, tmp_path):
    """The photographs, for one test alone."""
    return shutil.copytree(small_folder, tmp_path / "photographs")


def latest(root):
    return json.loads((root / "latest" / "run.json").read_text())


def report_of(root):
    return (root / "latest" / "report.html").read_text()


def states(record):
    return {node: entry["state"] for node, entry in record["nodes"].items()}


def test_a_first_run_ends_with_a_registered_champion(finished_run):
    record = finished_run.record(0)
    assert record["status"] == "finished" and record["error"] is None
    assert states(record) == dict.fromkeys(NODES, "complete") and record["cached_nodes"] == []
    assert record["gate"]["blessed"] and record["gate"]["baseline_version"] is None
    assert record["registry"]["pushed"] and record["registry"]["version"] == "1" and record["registry"]["alias"] == "champion"
    assert record["data"]["source"] == str(finished_run.folder) and record["data"]["classes"] == [f"class-{i}" for i in range(5)]
    left_out = record["data"]["near_duplicates"]["left_out_of_train"]
    assert record["data"]["images"] == 60 == record["data"]["train"] + record["data"]["eval"] + left_out


def test_the_page_of_a_run_has_its_verdict_and_the_times_of_its_nodes(finished_run):
    record = finished_run.record(0)
    file = finished_run.root / "runs" / record["run_id"] / "report.html"
    page = file.read_text()
    assert "Registered as version 1, the champion</h1>" in page and record["run_id"] in page
    assert f"{100 * record['linear_eval']['top1']:.1f} %" in page.replace("\u00a0", " ")
    assert page.count("<td>complete<") == len(NODES) and "<td>from the cache<" not in page
    assert str(file) in finished_run.first.stdout


def test_run_json_has_every_field_that_scripts_rely_on(finished_run):
    record = finished_run.record(0)
    promised = {
        "data": ["source", "images", "quarantined", "train", "eval", "classes"],
        "pretrain": ["epochs", "steps", "seconds", "images_per_second", "final_loss", "output_std_ratio", "effective_rank",
                     "resumed_from_step", "device", "device_memory", "tensorflow", "network"],
        "linear_eval": ["top1", "knn_top1", "random_init_top1", "top1_at_10_percent_labels",
                        "random_init_top1_at_10_percent_labels", "per_class"],
        "gate": ["blessed", "reasons", "baseline_version"],
        "registry": ["pushed", "name", "version", "alias"],
    }  # fmt: skip
    for section, fields in promised.items():
        assert set(fields) <= set(record[section]), section
    assert record["preset"] == "quick" and record["run_id"] and record["schema_version"] == 1
    # 12 pictures of 60 are never all on one side, and accuracy is a share of whole photographs.
    assert (record["linear_eval"]["top1"] * record["data"]["eval"]) == pytest.approx(
        round(record["linear_eval"]["top1"] * record["data"]["eval"]))  # fmt: skip


def test_the_trainers_accuracy_and_the_evaluators_agree(finished_run):
    # Two independent measurements of the same probe on the same photographs: LinearEval's own, and TFMA's of the export.
    record = finished_run.record(0)
    assert record["linear_eval"]["top1"] == pytest.approx(record["gate"]["metrics"]["candidate"]["accuracy"])
    assert record["linear_eval"]["random_init_top1"] == pytest.approx(record["gate"]["metrics"]["untrained"]["accuracy"])


def test_the_terminal_shows_our_lines_and_no_library_s(finished_run):
    process, run_folder = finished_run.first, finished_run.root / "runs" / finished_run.run_ids[0]
    for node in NODES:
        assert f"\n{node} " in process.stdout
    assert "flowers-backbone version 1, alias champion" in process.stdout
    assert str(run_folder / "log.txt") in process.stdout
    assert process.stderr == ""
    assert len(process.stdout.splitlines()) < 60
    assert "tensorflow" in (run_folder / "log.txt").read_text()


def test_a_run_leaves_no_temporary_files(finished_run):
    assert list(finished_run.temporary.iterdir()) == []


def test_an_unchanged_second_run_is_wholly_cached_and_registers_nothing_new(finished_run):
    first, record = finished_run.record(0), finished_run.record(1)
    assert record["cached_nodes"] == NODES
    assert record["registry"] == {**first["registry"], "pushed": False}
    assert record["run_id"] > first["run_id"]
    for section in ("data", "pretrain", "linear_eval", "gate"):
        assert record[section] == first[section]
    page = report_of(finished_run.root)
    assert f"{len(NODES)} of {len(NODES)} nodes were served from the cache" in page
    assert page.count("<td>from the cache<") == len(NODES)


# Two whole runs; tests/trainer/test_pretraining.py kills training itself in the fast set.
@pytest.mark.slow
def test_a_killed_run_continues_where_it_was(finished_run, root, run, forked):
    # Another seed: data nodes are cached, pre-training is new. A checkpoint a step, so that the kill always finds one.
    settings = [*TINY, *OPEN_GATE, "pretrain.seed=1", "pretrain.epochs=15", "pretrain.checkpoint_seconds=0"]
    arguments = command(finished_run.folder, root, *settings)
    before = set((root / "checkpoints").iterdir())
    stopped_by(signal.SIGKILL, forked, arguments, root, before)

    interrupted = stopped_by(signal.SIGINT, forked, arguments, root, before)
    assert interrupted.returncode == 130
    assert latest(root)["status"] == "interrupted" and latest(root)["failing_node"] == "Pretrain"
    assert "The same command continues" in interrupted.stderr.read()

    process = run(finished_run.folder, root, *settings)
    assert process.returncode == 0, process.stdout + process.stderr
    record = latest(root)
    assert record["pretrain"]["resumed_from_step"] > 0
    # 60 pictures, 15 % held out, whole batches of 16: 3 steps an epoch whatever becomes of near-duplicates.
    assert record["pretrain"]["steps"] == 15 * 3
    assert record["cached_nodes"] == NODES[:5]


def stopped_by(how, forked, arguments, root, checkpoints_before):
    """Starts a run, sends it the signal once this start has written a checkpoint, and returns the ended process."""
    written = newest_checkpoint(root, checkpoints_before)
    process = forked.Process(arguments, cwd=PROJECT, stdout=forked.PIPE, stderr=forked.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while newest_checkpoint(root, checkpoints_before) == written:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    os.kill(process.pid, how)
    process.wait(PATIENCE_SECONDS)
    return process


def newest_checkpoint(root, before):
    new = set((root / "checkpoints").iterdir()) - before
    records = [path for folder in new for path in folder.rglob("checkpoint")]
    return records[0].read_text() if records else ""


def test_a_changed_photograph_is_read_and_what_the_gate_refuses_is_not_pushed(finished_run, folder, root, run):
    """And photographs without labels are learned from: 50 of train and 6 of them are three batches of 16, 14 more are a fourth.

    With -v, which absl would take for another flag if it saw it.
    """
    picture = folder / "class-0" / "0.jpg"
    Image.open(io.BytesIO(picture.read_bytes())).transpose(Image.Transpose.ROTATE_90).save(picture, quality=95)
    (folder / "unlabelled").mkdir()
    for index in range(14):
        (folder / "unlabelled" / f"{index}.jpg").write_bytes(scene.draw_jpeg(4, index, 48))
    process = run(folder, root, *TINY, "gate.min_accuracy=1", "gate.min_gain_over_random=1",
                  options=["--require-push", "-v"])  # fmt: skip
    record = latest(root)
    assert process.returncode == 4, process.stdout + process.stderr
    assert record["status"] == "finished" and record["cached_nodes"] == []
    assert "14 photographs added, 1 changed" in record["nodes"]["ExampleGen"]["because"]
    before = finished_run.record(0)
    assert {name: record["data"][name] for name in ("train", "eval", "unlabelled")} == {
        "train": before["data"]["train"], "eval": before["data"]["eval"], "unlabelled": 14}  # fmt: skip
    assert before["data"]["unlabelled"] == 0 and (before["pretrain"]["steps"], record["pretrain"]["steps"]) == (3, 4)
    assert "Unlabelled photographs</h3>" in report_of(root)
    assert record["data"]["fingerprint"] != finished_run.record(0)["data"]["fingerprint"]
    assert not record["gate"]["blessed"] and not record["registry"]["pushed"] and record["registry"]["version"] is None
    assert "gate.min_accuracy" in " ".join(record["gate"]["reasons"])


def test_without_any_label_a_run_learns_and_is_not_judged(folder, run, tmp_path):
    root, flat = tmp_path / "DIR", tmp_path / "flat"
    flat.mkdir()
    for picture in folder.glob("*/*.jpg"):
        picture.rename(flat / f"{picture.parent.name}-{picture.name}")
    process = run(flat, root, *TINY)
    record = latest(root)
    assert process.returncode == 0, process.stdout + process.stderr
    assert record["status"] == "finished" and record["pretrain"]["steps"] == 3 and record["pretrain"]["knn_train_top1"] is None
    assert (record["data"]["classes"], record["data"]["train"], record["data"]["eval"], record["data"]["unlabelled"]) == ([], 0, 0, 60)
    assert record["linear_eval"] is None and not record["gate"]["blessed"] and record["registry"]["version"] is None
    assert record["gate"]["reasons"][0].startswith("no photograph has a label") and "flowers select" in process.stdout
    assert "Not judged, without labels</h1>" in report_of(root)


def test_refused_data_ends_before_training_with_exit_status_3(folder, run, tmp_path):
    for number in range(3):
        (folder / "class-1" / f"damaged-{number}.jpg").write_bytes((folder / "class-1" / "1.jpg").read_bytes()[:200])
    root = tmp_path / "DIR"
    process = run(folder, root, *TINY, *OPEN_GATE)
    record = latest(root)
    assert process.returncode == 3, process.stdout + process.stderr
    assert record["status"] == "refused" and record["failing_node"] == "DataGate"
    # 3 of 63 files is over the 1 % that data.max_bad_fraction allows.
    assert record["data"]["quarantined"] == 3 and "data.max_bad_fraction" in record["error"]
    assert {file["path"] for file in record["data"]["quarantined_files"]} == {f"class-1/damaged-{i}.jpg" for i in range(3)}
    assert "Pretrain" not in record["nodes"] and record["pretrain"] is None
    assert "Refused in DataGate</h1>" in report_of(root) and "class-1/damaged-0.jpg" in report_of(root)
    assert "data.max_bad_fraction" in process.stderr and "Traceback" not in process.stderr
    assert "Traceback" in (root / "latest" / "log.txt").read_text()


def test_a_source_that_does_not_exist_is_named_before_anything_is_made(run, tmp_path):
    root = tmp_path / "DIR"
    process = run(root / "nowhere", root, *TINY)
    assert process.returncode == 2
    assert str(root / "nowhere") in process.stderr and "Traceback" not in process.stderr
    assert not root.exists()


# A whole run; tests/trainer/test_warm_start.py has the weights.
@pytest.mark.slow
def test_a_warm_start_trains_on_from_the_champion_under_the_same_gate(finished_run, root, run):
    champion = reading.champion(MlflowBackend(str(root / "registry"), "flowers-backbone"))
    tiny = [one for one in TINY if not one.startswith("pretrain.epochs=")]  # which a warm start replaces
    process = run(finished_run.folder, root, *tiny, *OPEN_GATE, "gate.max_regression=1", "pretrain.warm_start_epochs=2",
                  options=["--warm-start", "champion"])  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    record = latest(root)
    assert record["pretrain"]["warm_start"]["version"] == champion.version
    assert record["pretrain"]["warm_start"]["content_hash"] == champion.tags["content_hash"]
    assert record["pretrain"]["epochs"] == 2 == record["configuration"]["pretrain"]["epochs"]
    assert record["gate"]["blessed"] and record["gate"]["baseline_version"] == champion.version
    assert record["registry"]["pushed"] and record["registry"]["version"] == str(int(champion.version) + 1)
    assert record["registry"]["alias"] == ("champion" if record["gate"]["takes_alias"] else None)
    # On the photographs of its own division no backbone has been pre-trained.
    assert record["gate"]["pretrained_on"] == {"champion": 0, "best": None}
    assert f"from version {champion.version}" in process.stdout


# A whole run.
@pytest.mark.slow
def test_a_new_class_and_another_side_are_judged_alike(finished_run, root, run, tmp_path):
    photographs = tmp_path / "photographs"
    shutil.copytree(finished_run.folder, photographs)
    (photographs / "class-5").mkdir()
    for index in range(12):
        (photographs / "class-5" / f"{index}.jpg").write_bytes(scene.draw_jpeg(5, 1000 + index, 48))
    process = run(photographs, root, *TINY, *OPEN_GATE, "gate.max_regression=1", "embedding.photograph_side=40")
    assert process.returncode == 0, process.stdout + process.stderr
    record = latest(root)
    gate = record["gate"]
    assert len(gate["classes"]) == 6 and gate["baseline_version"] == "1" and 0 <= gate["metrics"]["champion"]["accuracy"] <= 1
    assert any("champion version 1" in reason and "95 % interval" in reason for reason in gate["reasons"])
    # The division follows content, so that what was in train stays there, but for what a new class moves.
    assert 0 <= gate["pretrained_on"]["champion"] <= gate["eval_examples"]
    assert gate["blessed"] and record["registry"]["version"] == "2"
    assert record["registry"]["alias"] == ("champion" if gate["takes_alias"] else None)


def test_a_warm_start_from_another_network_ends_before_any_node(finished_run, root, run):
    process = run(finished_run.folder, root, *TINY, "pretrain.width=12", options=["--warm-start", "1"])
    assert process.returncode == 2
    assert "version 1 has width 8, but pretrain.width is 12" in process.stderr and "Traceback" not in process.stderr
    assert latest(root)["nodes"] == {}


# Three runs.
@pytest.mark.slow
def test_a_network_of_others_is_the_backbone_and_its_start_the_baseline(small_folder, run, tmp_path):
    """A file of the test's own: from its features to a version, an export, a cached run and a changed file."""
    root, file = tmp_path / "DIR", tmp_path / "mine.keras"
    network_of_others(file, seed=1)
    tiny = [one for one in TINY if "width" not in one]  # which is that of the project's own
    start = [*tiny, *OPEN_GATE, f"pretrain.start={file}"]

    first = run(small_folder, root, *start)
    assert first.returncode == 0, first.stdout + first.stderr
    record = latest(root)
    assert record["configuration"]["pretrain"]["warm_start"]["network"] == "mine.keras" == record["pretrain"]["warm_start"]["network"]
    assert record["linear_eval"]["baseline"] == record["gate"]["baseline"] == "start"
    (gain,) = [reason for reason in record["gate"]["reasons"] if "the start (" in reason]
    assert gain.startswith("accuracy is ") and not any("random-init" in reason for reason in record["gate"]["reasons"])
    for said in ("Start from mine.keras, which is the backbone", "; start (the network of others before SimSiam): ", "from mine.keras"):
        assert said in " ".join(first.stdout.split()), said
    assert "random-init" not in first.stdout.lower()
    version = root / "registry/versions"
    page = (root / "latest/report.html").read_text()
    assert "its start (the network of others before SimSiam) reaches" in page and "andom-init" not in page.partition("<body>")[2]
    card = next(version.rglob("MODEL_CARD.md")).read_text()
    assert "start (the network of others before SimSiam)" in card and "the network of others `mine.keras`" in card
    assert next(version.rglob("start.keras")).read_bytes() == file.read_bytes()
    # Dimensions and equality in other runtimes.
    for name in ("saved_model", "keras", "onnx", "litert"):
        done = export(name, str(tmp_path / f"exported{FORMATS[name].ending}"), root=str(root))
        assert done.difference <= 1e-4, name
    assert len(list(inference.predict(str(small_folder), root=str(root)))) == 60

    # `flowers compare` has the start where the random-init network is for the project's own.
    compared = comparison.open_run(Layout(root), record)
    before, _ = comparison.compare(compared, Layout(root), Supervised(), with_supervised=False)
    assert (before.network, before.top1) == ("start: mine.keras", pytest.approx(record["linear_eval"]["random_init_top1"]))
    with pytest.raises(ConfigurationError, match="started from mine.keras, which is not trained from scratch: add --no-supervised"):
        next(comparison.compare(compared, Layout(root), Supervised()))

    again = run(small_folder, root, *start)
    assert again.returncode == 0 and set(latest(root)["cached_nodes"]) == set(NODES)

    network_of_others(file, seed=2)
    changed = run(small_folder, root, *start, "gate.max_regression=1")
    assert changed.returncode == 0, changed.stdout + changed.stderr
    record = latest(root)
    assert "ExampleGen" in record["cached_nodes"] and not {"Pretrain", "LinearEval"} & set(record["cached_nodes"])
    assert any("warm_start.content_hash" in reason for reason in record["nodes"]["Pretrain"]["because"])
    assert record["registry"]["version"] == "2"


def network_of_others(path, seed):
    """A small one with a normalisation, for squares of 32 pixels; a feature map comes out."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(2.0, -1.0)(pixels)
    for channels in (6, 10):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    keras.Model(pixels, x).save(path)
