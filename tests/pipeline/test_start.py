"""`pretrain.start`: one setting for every start, what a network of others makes of the configuration, and what is refused."""

import pathlib

import keras
import pytest

from cli.main import main
from contracts.layout import Layout
from pipeline import clean, preconditions, settings
from pipeline.contradictions import Way
from pipeline.identity import MAKERS, Origin, recipe
from pipeline.local import with_warm_start
from pipeline_config import ConfigurationError, is_network, version_of

PLACE = ["--project", "p", "--region", "europe-west4", "--bucket", "gs://b", "--image", "i"]


def configuration(*overrides, preset="cpu", warm_start=None):
    return preconditions.configuration(preset, {"data.source": "x", "pretrain.start": warm_start}, overrides, Way())


def saved(path, *, side=16, channels=4) -> str:
    pixels = keras.Input((side, side, 3))
    keras.Model(pixels, keras.layers.BatchNormalization()(keras.layers.Conv2D(channels, 3)(pixels))).save(path)
    return str(path)


@pytest.mark.parametrize(("start", "network", "version"), [
    ("random", False, None), ("champion", False, "champion"), ("3", False, "3"), ("a/b.keras", True, None),
    ("keras:ResNet50", True, None),
])  # fmt: skip
def test_a_start_is_random_a_version_or_a_network(start, network, version):
    assert is_network(start) is network and version_of(start) == version


@pytest.mark.parametrize("start", ["keras:", "keras:../../elsewhere", "keras:a b", "keras:/ResNet50"])
def test_no_name_of_an_application_leads_out_of_the_folder_of_starts(start):
    with pytest.raises(ConfigurationError, match="pretrain.start must be random, a registered version, FILE.keras or keras:NAME"):
        configuration(f"pretrain.start={start}")


def test_warm_start_is_short_for_the_setting():
    assert configuration(warm_start="champion") == configuration("pretrain.start=champion")
    with pytest.raises(ConfigurationError, match="pretrain.start is given twice, as 'champion' by its option and as '3' by"):
        configuration("pretrain.start=3", warm_start="champion")


def test_the_epochs_that_are_given_are_those_of_any_start():
    pretrain = configuration("pretrain.start=keras:ResNet50", "pretrain.epochs=3").pretrain
    assert pretrain.warm_start_epochs == 3


@pytest.mark.parametrize("setting", [
    "pretrain.backbone=resnet50", "pretrain.width=16", "pretrain.stem=small", "pretrain.precision=auto", "embedding.stages=2",
    "embedding.pooling=mean,maximum", "pretrain.warm_start.version=3",
])  # fmt: skip
def test_settings_of_the_project_s_own_networks_are_refused_beside_a_network(setting):
    key = setting.partition("=")[0]
    with pytest.raises(ConfigurationError, match=f"{key} counts only .*pretrain.start"):
        configuration(setting, "pretrain.start=mine.keras")
    if key not in ("pretrain.warm_start.version",):
        configuration(setting)


def test_settings_that_agree_with_a_network_are_not_refused():
    configuration("pretrain.start=mine.keras", "pretrain.precision=float32", "embedding.stages=1", "embedding.pooling=mean")


def test_a_network_is_trained_in_float32_and_averaged_by_the_schedule_of_a_warm_start(tmp_path):
    file = saved(tmp_path / "mine.keras")
    config = configuration(f"pretrain.start={file}", "pretrain.resolution=16", "embedding.resolution=24")
    started = with_warm_start(config, Layout.at(str(tmp_path / "DIR")), config.pretrain.start)
    assert (started.pretrain.precision, started.embedding.stages, started.embedding.pooling) == ("float32", 1, ("mean",))
    assert (started.pretrain.epochs, started.pretrain.base_learning_rate) == (67, 0.35)  # cpu's warm_start_ settings
    assert started.pretrain.warm_start.network == "mine.keras" and not started.pretrain.warm_start.version


def test_a_changed_file_is_another_recipe_and_the_same_file_elsewhere_the_same(tmp_path):
    origin, recipes = Origin("data", {node: {} for node in MAKERS}, {}), []
    first = pathlib.Path(saved(tmp_path / "first.keras"))
    (tmp_path / "moved.keras").write_bytes(first.read_bytes())
    for file in (first, tmp_path / "moved.keras", saved(tmp_path / "other.keras", channels=5)):
        config = configuration(f"pretrain.start={file}", "pretrain.resolution=16", "embedding.resolution=16")
        recipes.append(recipe(with_warm_start(config, Layout.at(str(tmp_path / "DIR")), str(file)), origin))
    assert recipes[0] == recipes[1] != recipes[2]


def test_relative_paths_mean_the_same_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for start, absolute in (("mine.keras", str(tmp_path / "mine.keras")), ("keras:ResNet50", "keras:ResNet50"), ("3", "3")):
        assert settings.with_absolute_paths(configuration(f"pretrain.start={start}")).pretrain.start == absolute


@pytest.mark.parametrize(("arguments", "said"), [
    (["run", "--set", "pretrain.start=nosuch.keras"], "pretrain.start: there is no file"),
    (["run", "--set", "pretrain.start="], "pretrain.start must be random, a registered version, FILE.keras or keras:NAME"),
    (["run", "--set", "pretrain.start=keras:VGG16", "--schedule", "weekly", "--from-scratch-every", "2"],
     "--from-scratch-every counts only for a schedule with --warm-start"),
    (["compile", "--preset", "quick", *PLACE, "-o", "f.json", "--set", "pretrain.start=keras:VGG16"],
     "by `flowers run` on one machine alone"),
    (["submit", "--preset", "quick", *PLACE, "--set", "pretrain.start=mine.keras"], "by `flowers run` on one machine alone"),
])  # fmt: skip
def test_what_cannot_be_started_from_ends_at_once(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert said in " ".join(capsys.readouterr().err.split()) and not (tmp_path / "f.json").exists()


def test_an_application_whose_weights_cannot_be_fetched_says_so_and_what_to_do(tmp_path, monkeypatch):
    def fetch(*args, **options):
        raise OSError("URL fetch failure on https://storage.example/weights.h5: None -- Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fetch)
    with pytest.raises(ConfigurationError, match="of keras:MobileNetV2 are not here and cannot be downloaded.*FILE.keras"):
        with_warm_start(configuration("pretrain.start=keras:MobileNetV2"), Layout.at(str(tmp_path)), "keras:MobileNetV2")
    assert list(tmp_path.iterdir()) == []


def test_networks_that_no_kept_run_started_from_are_collected(tmp_path, monkeypatch):
    layout = Layout.at(str(tmp_path))
    for name in ("kept", "old"):
        (layout.starts / name).mkdir(parents=True)
        (layout.starts / name / "start.keras").write_bytes(b"network")
    layout.run("20260101-000000-0000").mkdir(parents=True)
    started = {"pretrain": {"warm_start": {"backbone": str(layout.starts / "kept")}}}
    record = {"run_id": "20260101-000000-0000", "status": "finished", "configuration": started, "data": None}
    monkeypatch.setattr(clean.run_record, "read_all", lambda layout: [record])
    monkeypatch.setattr(clean.metadata, "executions", lambda metadata, run_id: [])
    (kind,) = [one for one in clean.plan(layout, 1, frozenset()) if one.title == "networks that runs started from"]
    assert kind.paths == (layout.starts / "old",)
