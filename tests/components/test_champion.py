"""What a candidate on Vertex AI is compared with: looked up in the run, in a registry on a local server, and handed over to LinearEval."""

import json
import pathlib

import container
import pytest
from google_server import server as faults
from tfx.utils import io_utils

from contracts.content_hash import content_hash
from registry import publishing
from registry.backend import RECIPE, whole_recipe
from registry.opening import open_registry
from trainer import references
from vertex import GoogleCloudError

RANDOM = {"version": "", "backbone": "", "content_hash": ""}


@pytest.fixture
def place(new_place):
    return new_place()


@pytest.fixture
def register(place, tmp_path):
    """register(number, recipe) makes version `number` the champion, judged against the one before."""

    def publish(number, recipe):
        folders = {kind: tmp_path / f"{number}" / kind for kind in ("backbone", "probe")}
        for kind, folder in folders.items():
            folder.mkdir(parents=True)
            (folder / "model").write_text(f"{kind} {number}")
        backbone, probe = (str(folders[kind]) for kind in ("backbone", "probe"))
        return publishing.publish(
            open_registry(place, "flowers"), backbone=backbone, probe=probe, backbone_hash=content_hash(backbone),
            probe_hash=content_hash(probe), tags={RECIPE: recipe}, judged_against=None if number == 1 else str(number - 1), card="",
        ).version  # fmt: skip

    return publish


@pytest.fixture
def look_up(place, tmp_path):
    """look_up(recipe, …) runs Champion; by output, what it found."""

    def looked_up(recipe, fingerprint="monday", start=RANDOM):
        folder = tmp_path / "tasks" / f"{len(list(tmp_path.glob('tasks/*')))}"
        outputs = dict.fromkeys(("champion", "compared", "candidate_recipe"), "tfx.String")
        written = container.run("components.champion.champion.Champion_Executor", folder, {
            "registry": place, "name": "flowers", "recipe": recipe, "fingerprint": fingerprint, "start": json.dumps(start),
            "code_version": "1"}, outputs)["parameterValues"]  # fmt: skip
        return json.loads(written["champion"]), json.loads(written["compared"]), written["candidate_recipe"]

    return looked_up


def test_without_a_champion_there_is_nothing_to_compare_with(look_up):
    assert look_up("settings") == ({}, {}, whole_recipe("settings", "monday", ""))


def test_the_champion_of_the_moment_is_found_and_the_number_of_the_challenge_is_not_handed_to_linear_eval(look_up, register):
    version = register(1, "another")
    found, compared, _ = look_up("settings")
    assert found == compared | {"challenge": 1}
    assert compared == {
        "version": "1", "backbone": f"{version.path}/backbone", "content_hash": version.tags["content_hash"],
        "probe": f"{version.path}/probe", "probe_content_hash": version.tags["probe_content_hash"]}  # fmt: skip
    references.require_undamaged(references.named(compared))
    register(2, "yet another")
    assert look_up("settings")[1]["version"] == "2"


def test_a_run_that_changes_nothing_is_compared_with_what_its_own_champion_was_judged_against(look_up, register):
    """So that it finds what it found before, and LinearEval is served from the cache."""
    first, warm = whole_recipe("settings", "monday", ""), whole_recipe("settings", "monday", "abc")
    before = look_up("settings")
    register(1, first)
    assert look_up("settings") == before == ({}, {}, first)
    assert look_up("settings", "tuesday")[1]["version"] == "1"
    before = look_up("settings", start=RANDOM | {"content_hash": "abc"})
    assert before[1]["version"] == "1" and before[2] == warm
    register(2, warm)
    assert look_up("settings", start=RANDOM | {"content_hash": "abc"}) == before


def test_a_registry_that_cannot_be_read_is_not_one_without_a_champion(look_up, model_server):
    model_server.fault("ListModelVersions", faults.permission_denied("aiplatform.models.list"))
    with pytest.raises(GoogleCloudError, match="permission aiplatform.models.list is missing"):
        look_up("settings")


@pytest.mark.parametrize("compared", [{}, {"version": "1", "best": {"version": "2"}}])
def test_linear_eval_is_given_it_as_the_one_record_that_a_trainer_takes(tmp_path, compared):
    container.run("components.champion.champion_record.ChampionRecord_Executor", tmp_path,
                  {"compared": json.dumps(compared), "code_version": "1"}, {"record": "tfx.HyperParameters"})  # fmt: skip
    # As TFX's Trainer reads it.
    assert json.loads(pathlib.Path(io_utils.get_only_uri_in_dir(str(tmp_path / "record"))).read_text()) == compared
