"""Hashes by which nodes are cached, checkpoints found and champions recognised."""

import dataclasses
import shutil

import pytest

from cli.settings import configuration
from pipeline import __version__
from pipeline.identity import COMPONENTS, TRAINER, Origin, code_version, recipe, recipe_without_data

ORIGIN = Origin(data_fingerprint="f", ingest_settings="{}", components_version="c", trainer_version="t")


@pytest.fixture
def project(tmp_path):
    for name in ("contracts/a.py", "trainer/b.py", "trainer/inner/c.py", "components/d.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return tmp_path


def test_the_version_names_the_release():
    assert code_version(TRAINER).startswith(f"{__version__}+")


def test_unchanged_code_has_one_version_wherever_it_lies(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "project"
    shutil.copytree(project, elsewhere)
    (elsewhere / "trainer" / "notes.txt").write_text("no code")
    assert code_version(TRAINER, elsewhere) == code_version(TRAINER, project)


@pytest.mark.parametrize("change", ["edit", "add", "remove", "rename"])
def test_every_change_of_a_file_changes_the_version_of_its_part_alone(project, change):
    before = code_version(TRAINER, project), code_version(COMPONENTS, project)
    inner = project / "trainer" / "inner" / "c.py"
    match change:
        case "edit":
            inner.write_text("# changed\n")
        case "add":
            (inner.parent / "new.py").write_text("")
        case "remove":
            inner.unlink()
        case "rename":
            inner.rename(inner.with_name("d.py"))
    assert code_version(TRAINER, project) != before[0]
    assert code_version(COMPONENTS, project) == before[1]


def test_contracts_belong_to_both_parts(project):
    before = code_version(TRAINER, project), code_version(COMPONENTS, project)
    (project / "contracts" / "a.py").write_text("# changed\n")
    assert code_version(TRAINER, project) != before[0] and code_version(COMPONENTS, project) != before[1]


def test_an_incomplete_installation_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="incomplete"):
        code_version(TRAINER, tmp_path)


def test_a_recipe_is_the_same_for_the_same_candidate():
    # The gate and the registry's name judge and file the candidate; they do not make it.
    same = configuration("quick", ["gate.min_accuracy=0.9", "registry.name=other", "data.max_bad_fraction=0.5"])
    assert recipe(same, ORIGIN) == recipe(configuration("quick"), ORIGIN)


@pytest.mark.parametrize("override", ["pretrain.epochs=31", "pretrain.views.hue=0.02", "linear_eval.folds=4"])
def test_a_recipe_changes_with_every_setting_of_the_training(override):
    assert recipe(configuration("quick", [override]), ORIGIN) != recipe(configuration("quick"), ORIGIN)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Origin)])
def test_a_recipe_changes_with_data_and_code(field):
    config, other = configuration("quick"), dataclasses.replace(ORIGIN, **{field: "other"})
    assert recipe(config, other) != recipe(config, ORIGIN)


def test_the_part_of_a_recipe_that_a_dag_holds_is_known_before_its_data():
    config = configuration("quick")
    unseen = dataclasses.replace(ORIGIN, data_fingerprint="")
    assert recipe_without_data(config, unseen) == recipe_without_data(config, ORIGIN)
