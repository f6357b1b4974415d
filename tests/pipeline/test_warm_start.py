"""`--warm-start`: which version it finds, what it makes of the configuration, and what it refuses."""

import json
import pathlib

import pytest

from contracts.content_hash import content_hash
from contracts.layout import Layout
from pipeline.local import with_warm_start
from pipeline.settings import configuration
from pipeline_config import ConfigurationError
from registry import publishing
from registry.mlflow_backend import MlflowBackend

SETTINGS = ("pretrain.backbone=small", "pretrain.width=8", "pretrain.stem=small", "pretrain.resolution=32", "pretrain.epochs=9",
            "pretrain.warm_start_epochs=2", "pretrain.warm_start_learning_rate=0.03")  # fmt: skip
CONFIG = configuration("quick", SETTINGS)


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """A registry of two versions, the second of which is the champion."""
    root = tmp_path_factory.mktemp("root")
    layout = Layout.at(str(root / "DIR"))
    for number, judged_against in ((1, None), (2, "1")):
        directories = {}
        for kind in ("backbone", "probe"):
            directories[kind] = root / f"{kind}{number}"
            directories[kind].mkdir()
            record = {"backbone": "small", "width": 8, "stem": "small", "resolution": 32, "number": number}
            (directories[kind] / f"{kind}.json").write_text(json.dumps(record))
        backbone, probe = (str(directories[kind]) for kind in ("backbone", "probe"))
        publishing.publish(
            MlflowBackend(str(layout.registry), CONFIG.registry.name),
            backbone=backbone,
            probe=probe,
            backbone_hash=content_hash(backbone),
            probe_hash=content_hash(probe),
            tags={},
            judged_against=judged_against,
            card="",
        )
    return layout


def warm(layout, wanted, *overrides):
    return with_warm_start(configuration("quick", (*SETTINGS, *overrides)), layout, wanted).pretrain


def test_the_schedule_is_that_of_a_warm_start(layout):
    pretrain = warm(layout, "champion")
    assert (pretrain.epochs, pretrain.base_learning_rate) == (2, 0.03)


@pytest.mark.parametrize("wanted, version", [("champion", "2"), ("1", "1"), ("2", "2")])
def test_path_and_content_hash_of_the_version_become_settings_of_pre_training(layout, wanted, version):
    start = warm(layout, wanted).warm_start
    assert start.version == version
    assert json.loads((pathlib.Path(start.backbone) / "backbone.json").read_text())["number"] == int(version)
    assert start.content_hash == content_hash(start.backbone)


def test_other_weights_are_another_recipe(layout):
    from pipeline.identity import MAKERS, Origin, recipe

    origin = Origin("data", {node: {} for node in MAKERS}, {})
    configs = [CONFIG, *(with_warm_start(CONFIG, layout, version) for version in ("1", "2"))]
    assert len({recipe(config, origin) for config in configs}) == 3


def test_a_version_that_does_not_exist_is_refused(layout, tmp_path):
    with pytest.raises(ConfigurationError, match="--warm-start 7: .* no version or alias '7'; versions: 1, 2"):
        warm(layout, "7")
    with pytest.raises(ConfigurationError, match="--warm-start champion: .* versions: none; a run without"):
        warm(Layout.at(str(tmp_path)), "champion")


@pytest.mark.parametrize("field, registered, configured",
                         [("backbone", "small", "resnet18"), ("width", "8", "16"), ("stem", "small", "imagenet"),
                          ("resolution", "32", "48")])  # fmt: skip
def test_another_network_is_refused_and_both_are_named(layout, field, registered, configured):
    with pytest.raises(ConfigurationError, match=f"has {field} {registered}, but pretrain.{field} is {configured}; set"):
        warm(layout, "1", f"pretrain.{field}={configured}")


def test_a_damaged_version_is_refused(layout):
    record = pathlib.Path(warm(layout, "1").warm_start.backbone) / "backbone.json"
    original = record.read_text()
    record.write_text(original.replace("1", "3"))
    try:
        with pytest.raises(ConfigurationError, match="version 1 of .* is not as it was registered: backbone/backbone.json"):
            warm(layout, "1")
    finally:
        record.write_text(original)
