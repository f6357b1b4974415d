"""Where a run on Vertex AI starts: looked up when it starts, in a registry on a local server, by the commands that containers run."""

import json

import container
import pytest
from google_server import server as faults

from components.warm_start.starting_backbone import BackboneChanged
from contracts.content_hash import content_hash
from pipeline_config import ConfigurationError
from registry import publishing
from registry.backend import CHAMPION
from registry.opening import open_registry
from vertex import GoogleCloudError

NETWORK = {"backbone": "small", "width": 8, "stem": "small", "resolution": 32}
RANDOM = {"version": "", "backbone": "", "content_hash": "", "network": ""}


@pytest.fixture
def place(new_place):
    return new_place()


@pytest.fixture
def register(place, tmp_path):
    """register(number) makes version `number` the champion."""

    def publish(number):
        folders = {kind: tmp_path / f"{number}" / kind for kind in ("backbone", "probe")}
        for kind, folder in folders.items():
            (folder / "variables").mkdir(parents=True)
            (folder / f"{kind}.json").write_text(json.dumps(NETWORK))
            (folder / "variables/data").write_text(f"{kind} {number}")
        backbone, probe = (str(folders[kind]) for kind in ("backbone", "probe"))
        published = publishing.publish(
            open_registry(place, "flowers"), backbone=backbone, probe=probe, backbone_hash=content_hash(backbone),
            probe_hash=content_hash(probe), tags={}, judged_against=None if number == 1 else str(number - 1), card="")  # fmt: skip
        assert published.version.version == str(number) and published.is_champion
        return published.version

    return publish


@pytest.fixture
def start(place, tmp_path):
    """start(job, fingerprint, …) runs StartingPoint for that job; what it found, and what it said."""

    def looked_up(job, fingerprint="monday", schedule="weekly", wanted=CHAMPION, every=0, network=NETWORK):
        written = container.run("components.warm_start.starting_point.StartingPoint_Executor", tmp_path / "tasks" / job, {
            "wanted": wanted, "network": json.dumps(network), "fingerprint": fingerprint, "registry": place, "name": "flowers",
            "schedule": schedule, "from_scratch_every": every, "starts_dir": f"{tmp_path}/starts/{schedule}",
            "outcomes_dir": f"{tmp_path}/outcomes", "job": job, "code_version": "1"}, {"start": "tfx.String"})  # fmt: skip
        (artifact,) = written["artifacts"]["start"]["artifacts"]
        return json.loads(written["parameterValues"]["start"]), artifact["metadata"]["said"]

    return looked_up


@pytest.fixture
def end(tmp_path):
    """end(job, state) is what RunOutcome leaves of it."""

    def ended(job, state="SUCCEEDED"):
        (tmp_path / "outcomes").mkdir(exist_ok=True)
        (tmp_path / "outcomes" / f"{job}.json").write_text(json.dumps({"state": state}))

    return ended


def test_without_a_champion_it_starts_from_random_weights_and_says_so(start):
    assert start("one") == (RANDOM, "Start from random weights, as there is no champion yet")


def test_the_champion_is_that_of_the_moment_at_which_the_run_starts(start, register):
    first = register(1)
    found, said = start("one", schedule="")
    assert found == {"version": "1", "backbone": f"{first.path}/backbone", "content_hash": first.tags["content_hash"],
                     "network": ""}  # fmt: skip
    assert said == "Warm start from version 1, as --warm-start says"
    register(2)
    assert start("two", schedule="")[0]["version"] == "2"
    assert start("three", schedule="", wanted="1")[0] == found


def test_a_week_without_a_new_photograph_starts_where_the_last_did_and_finds_the_same(start, register, end):
    register(1)
    before, _ = start("one")
    end("one")
    register(2)  # what that run made of them
    found, said = start("two")
    assert found == before and "since the photographs are the same" in said
    end("two")
    assert start("three", "tuesday")[0]["version"] == "2"


@pytest.mark.parametrize("state", [None, "FAILED", "CANCELLED"])
def test_a_run_that_did_not_succeed_does_not_count(start, register, end, state):
    register(1)
    start("one")
    if state:
        end("one", state)
    register(2)  # by another run
    assert start("two")[0]["version"] == "2"


def test_every_third_run_starts_from_random_weights_and_runs_of_another_schedule_do_not_count(start, register, end):
    register(1)
    starts = []
    for week in range(7):
        starts.append(start(f"week-{week}", f"photographs of week {week}", every=3)[0]["version"])
        start(f"killed-{week}", f"photographs of week {week}", every=3)
        start(f"other-{week}", "others", "daily", every=3)
        end(f"week-{week}")
        end(f"other-{week}")
    assert starts == ["1", "1", "", "1", "1", "", "1"]


@pytest.mark.parametrize(("change", "message"), [
    ({"wanted": "7"}, "no version or alias '7'; versions: 1"),
    ({"network": NETWORK | {"width": 16}}, "version 1 has width 8, but pretrain.width is 16"),
])  # fmt: skip
def test_what_cannot_be_continued_from_is_refused(start, register, change, message):
    register(1)
    with pytest.raises(ConfigurationError, match=message):
        start("one", **change)


def test_a_damaged_champion_is_refused_and_is_not_no_champion(start, register):
    import tensorflow as tf

    with tf.io.gfile.GFile(f"{register(1).path}/backbone/variables/data", "w") as file:
        file.write("backbone X")
    with pytest.raises(ConfigurationError, match="version 1 of flowers is not as it was registered: backbone/variables/data: "):
        start("one")


def test_a_registry_that_cannot_be_read_is_not_one_without_a_champion(start, model_server):
    model_server.fault("ListModelVersions", faults.permission_denied("aiplatform.models.list"))
    with pytest.raises(GoogleCloudError, match="permission aiplatform.models.list is missing"):
        start("one")


def copied(folder, found):
    container.run("components.warm_start.starting_backbone.StartingBackbone_Executor", folder,
                  {"start": json.dumps(found), "code_version": "1"}, {"model": "tfx.Model"})  # fmt: skip
    return folder / "model"


def test_the_backbone_is_copied_whole_into_the_run_s_outputs(start, register, tmp_path):
    version = register(1)
    found, _ = start("one")
    copy = copied(tmp_path / "copy", found)
    assert content_hash(str(copy / "Format-Serving")) == version.tags["content_hash"]
    assert json.loads((copy / "warm_start.json").read_text()) == found


def test_for_random_weights_there_is_nothing_but_the_word(tmp_path):
    copy = copied(tmp_path / "copy", RANDOM)
    assert [path.name for path in copy.iterdir()] == ["warm_start.json"]
    assert json.loads((copy / "warm_start.json").read_text()) == RANDOM


def test_a_backbone_that_changed_after_it_was_found_is_refused(start, register, tmp_path):
    register(1)
    found, _ = start("one")
    with pytest.raises(BackboneChanged, match="the backbone of version 1 at .* expected 000: it changed since the run began"):
        copied(tmp_path / "copy", found | {"content_hash": "000"})
