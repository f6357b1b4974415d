"""What a candidate is recognised by, and why a node ran: in words, from what two executions were made of."""

import dataclasses
import json

import numpy as np
import pytest

import pipeline_config
from pipeline import __version__
from pipeline.identity import (
    EXECUTED,
    FIRST,
    MAKERS,
    Ingredients,
    Origin,
    changes,
    node_code,
    package_versions,
    recipe,
    settings_and_code,
)
from pipeline.local import photographs_moved
from pipeline.settings import configuration

CODE = {node: {f"{node}.py": "0123456789ab"} for node in EXECUTED}
ORIGIN = Origin(data_fingerprint="f", code=CODE, packages={})


def test_every_node_has_its_code_and_every_package_its_version():
    code = node_code()
    assert code.keys() == EXECUTED.keys() and all("contracts/__init__.py" in files for node, files in code.items() if node != "x")
    assert "trainer/views.py" in code["Pretrain"] and "trainer/views.py" not in code["LinearEval"]
    assert "trainer/probe.py" in code["LinearEval"] and "trainer/probe.py" not in code["Pretrain"]
    assert "components/report/templates/style.css" in code["Report"]
    assert [node for node, files in code.items() if any(file.startswith("registry/") for file in files)] == [
        "StartingPoint",
        "Champion",
        "Evaluator",
        "Pusher",
    ]
    versions = package_versions()
    assert versions.keys() == {"components", "trainer"} and all(one.startswith(f"{__version__}+") for one in versions.values())


def test_a_recipe_is_the_same_for_the_same_candidate():
    # The gate and the registry's name judge and file the candidate, the others say how it is made: none of them makes it.
    same = configuration("quick", ["gate.min_accuracy=0.9", "registry.name=other", "data.max_bad_fraction=0.5",
                                   "pretrain.progress_seconds=1", "pretrain.memory_megabytes=9", "pretrain.knn_images=9",
                                   "vertex.pretrain.spot=false"])  # fmt: skip
    assert recipe(same, ORIGIN) == recipe(configuration("quick"), ORIGIN)
    judged = ORIGIN.code | {node: {"x.py": "0"} for node in EXECUTED.keys() - set(MAKERS)}
    assert recipe(same, dataclasses.replace(ORIGIN, code=judged, packages={"trainer": "2"})) == recipe(same, ORIGIN)


@pytest.mark.parametrize("override", ["pretrain.epochs=31", "pretrain.views.hue=0.02", "linear_eval.folds=4", "data.max_side=65",
                                      "embedding.mirrored=true"])  # fmt: skip
def test_a_recipe_changes_with_every_setting_of_the_candidate(override):
    assert recipe(configuration("quick", [override]), ORIGIN) != recipe(configuration("quick"), ORIGIN)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(ORIGIN, data_fingerprint="other"),
        *(dataclasses.replace(ORIGIN, code=CODE | {node: {"x.py": "0"}}) for node in MAKERS),
    ],
)
def test_a_recipe_changes_with_data_and_the_code_that_makes_it(other):
    assert recipe(configuration("quick"), other) != recipe(configuration("quick"), ORIGIN)


def test_the_part_of_a_recipe_that_a_dag_holds_is_known_before_its_data():
    unseen = dataclasses.replace(ORIGIN, data_fingerprint="")
    assert settings_and_code(configuration("quick"), unseen) == settings_and_code(configuration("quick"), ORIGIN)


def test_how_to_run_and_identity_divide_every_section():
    for preset in pipeline_config.PRESETS.values():
        whole, kept = pipeline_config.to_dict(preset.pretrain), pipeline_config.identity(preset.pretrain)
        running = pipeline_config.running(preset.pretrain)
        assert kept | running == whole and not kept.keys() & running.keys()
    assert running.keys() == {"checkpoint_seconds", "memory_megabytes", "progress_seconds", "knn_epochs", "knn_images", "min_gpus",
                              "allow_cpu", "start", "warm_start_epochs", "warm_start_learning_rate"}  # fmt: skip
    assert "vertex" not in pipeline_config.identity(preset)


def ingredients(inputs=(), **parameters):
    return Ingredients(parameters, dict(inputs))


def because(before, now):
    return changes(before, now, lambda before, now: f"photographs {before} {now}")


def test_a_node_that_has_not_run_before_says_so():
    assert because(None, ingredients()) == [FIRST]


def test_nothing_that_changed_means_that_the_output_is_missing():
    same = ingredients([("ExampleGen", ("/a",))], gate='{"min_accuracy": 0.5}')
    (reason,) = because(same, same)
    assert "missing" in reason


def test_settings_are_named_as_they_are_set_with_both_values():
    before = {"pretrain": json.dumps({"epochs": 24, "views": {"hue": 0.1}}), "embedding": json.dumps({"pooling": ["mean"]})}
    now = {"pretrain": json.dumps({"epochs": 30, "views": {"hue": 0.1}}), "embedding": json.dumps({"pooling": ["mean", "maximum"]})}
    assert because(ingredients(custom_config=json.dumps(before)), ingredients(custom_config=json.dumps(now))) == [
        "embedding.pooling mean → mean, maximum", "pretrain.epochs 24 → 30"]  # fmt: skip
    assert because(ingredients(max_bad_fraction=0.01), ingredients(max_bad_fraction=0.5)) == ["data.max_bad_fraction 0.01 → 0.5"]
    assert because(ingredients(licence="", name="a"), ingredients(licence="CC0", name="b")) == [
        "data.licence none → CC0", "registry.name a → b"]  # fmt: skip


def test_files_are_named_by_what_happened_to_them():
    before, now = {"a.py": "1", "b.py": "1", "c.py": "1"}, {"a.py": "2", "c.py": "1", "d.py": "1"}
    assert because(ingredients(code_version=json.dumps(before)), ingredients(code_version=json.dumps(now))) == [
        "a.py changed", "b.py was removed", "d.py was added"]  # fmt: skip
    inside = [ingredients(custom_config=json.dumps({"code_version": json.dumps(files)})) for files in (before, now)]
    assert because(*inside) == ["a.py changed", "b.py was removed", "d.py was added"]


def test_photographs_champion_and_inputs_are_named():
    def champion(version, challenge=1):
        return json.dumps({"version": version, "probe_uri": f"/{version}", "content_hash": version, "challenge": challenge})

    assert because(ingredients(fingerprint="f", recipe="r"), ingredients(fingerprint="g", recipe="s")) == ["photographs f g"]
    assert because(ingredients(champion=""), ingredients(champion=champion("1"))) == ["champion none → version 1"]
    assert because(ingredients(champion=champion("1")), ingredients(champion=champion("2"))) == ["champion version 1 → version 2"]
    assert because(ingredients(champion=champion("1", 3)), ingredients(champion=champion("2"))) == ["champion version 1 → version 2"]
    assert because(ingredients(champion=champion("1")), ingredients(champion=champion("1", 2))) == ["challenge of the champion 1 → 2"]
    before = ingredients([("ExampleGen", ("/a/1", "/b/1")), ("Pretrain", ("/c/1",))])
    now = ingredients([("ExampleGen", ("/a/1", "/b/1")), ("Pretrain", ("/c/7",))])
    assert because(before, now) == ["new output of Pretrain"]


def test_a_changed_preset_is_told_once():
    def page(epochs, preset):
        return ingredients(configuration=json.dumps({"pretrain": {"epochs": epochs}}),
                           preset=json.dumps({"pretrain": {"epochs": preset}}))  # fmt: skip

    assert because(page(24, 24), page(30, 30)) == ["pretrain.epochs 24 → 30"]
    assert because(page(9, 24), page(9, 30)) == ["preset.pretrain.epochs 24 → 30"]


# Of each photograph a hash of its path, and one of its content.
THREE = np.array([[1, 10], [2, 20], [3, 30]], np.uint64)


@pytest.mark.parametrize(("now", "told"), [
    ([[1, 10], [2, 20], [3, 30], [4, 40]], "1 photograph added"),
    ([[4, 40], [1, 10], [5, 10], [2, 20], [3, 30], [6, 0]], "3 photographs added"),
    ([[3, 30], [1, 10]], "1 photograph removed"),
    ([[1, 11], [2, 20], [3, 30]], "1 photograph changed"),
    ([[1, 11], [2, 21], [9, 30]], "1 photograph added, 1 removed, 2 changed"),
])  # fmt: skip
def test_photographs_are_counted(now, told):
    assert photographs_moved(THREE, np.array(now, np.uint64)) == told


def test_photographs_that_nobody_kept_have_changed():
    assert photographs_moved(None, THREE) == photographs_moved(THREE, None) == "the photographs changed"
    assert photographs_moved(THREE, THREE) == "the photographs changed"  # another split of the same ones
