"""Publishing: versions, the alias that moves only over the champion that was compared with, no content twice."""

import datetime
import os

from components.registry import publishing, reading
from components.registry.mlflow_backend import MlflowBackend
from components.registry.version import WITHHELD
from contracts.content_hash import content_hash

NAME = "flowers-backbone"


def test_the_first_publication_makes_registry_version_and_champion(tmp_path, candidate):
    before = datetime.datetime.now(datetime.UTC)
    registry = MlflowBackend(str(tmp_path / "root with space, # and %20" / "registry"), NAME)
    publication = publishing.publish(registry, **candidate("a"))
    assert (publication.created, publication.is_champion) == (True, True)
    version = reading.champion(registry)
    assert version == publication.version == reading.get_version(registry, "1")
    assert version.aliases == ("champion",)
    assert version.tags["accuracy"] == "0.61"
    assert version.tags["content_hash"] == candidate("a")["backbone_hash"]
    assert version.tags["baseline_version"] == ""
    assert before - datetime.timedelta(seconds=1) <= version.created <= datetime.datetime.now(datetime.UTC)
    # The copies are the models, file by file.
    assert content_hash(os.path.join(version.path, "backbone")) == candidate("a")["backbone_hash"]
    assert content_hash(os.path.join(version.path, "probe")) == candidate("a")["probe_hash"]
    assert reading.verify(*registry.versions()) == []


def test_the_next_blessed_version_takes_the_alias(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    publication = publishing.publish(registry, **candidate("b", judged_against="1"))
    assert (publication.version.version, publication.is_champion) == ("2", True)
    assert [(v.version, v.aliases) for v in registry.versions()] == [("1", ()), ("2", ("champion",))]
    assert publication.version.tags["baseline_version"] == "1"


def test_the_same_content_twice_makes_no_second_version(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    again = publishing.publish(registry, **candidate("a"))
    assert (again.version.version, again.created, again.is_champion) == ("1", False, True)
    assert "already" in again.reason
    assert len(registry.versions()) == 1


def test_the_same_backbone_with_another_probe_is_no_new_version_and_keeps_the_probe_that_was_judged(registry, candidate):
    first = publishing.publish(registry, **candidate("a"))
    again = publishing.publish(registry, **candidate("a", judged_against="1", probe="second_probe"))
    assert not again.created
    assert "another probe" in again.reason
    assert registry.versions() == [first.version]
    assert reading.verify(*registry.versions()) == []


def test_a_champion_that_changed_since_the_judgement_keeps_its_alias(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    publishing.publish(registry, **candidate("b", judged_against="1"))
    late = publishing.publish(registry, **candidate("c", judged_against="1"))
    assert (late.created, late.is_champion) == (True, False)
    assert reading.champion(registry).version == "2"
    assert "judged against version 1" in late.reason and "champion is version 2" in late.reason
    assert late.version.tags[WITHHELD] == late.reason
    # Judged again, against the champion of now, it takes the alias, and the tag no longer says otherwise.
    again = publishing.publish(registry, **candidate("c", judged_against="2"))
    assert (again.version.version, again.created, again.is_champion) == ("3", False, True)
    assert again.version.tags[WITHHELD] == ""
    assert again.version.tags["baseline_version"] == "2"


def test_a_first_run_that_finds_a_champion_meanwhile_does_not_replace_it(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    late = publishing.publish(registry, **candidate("b", judged_against=None))
    assert not late.is_champion
    assert reading.champion(registry).version == "1"


def test_models_of_other_names_are_apart(registry, candidate):
    publishing.publish(registry, **candidate("a"))
    other = MlflowBackend(registry.directory, "other")
    publishing.publish(other, **candidate("b"))
    assert reading.champion(registry).tags["content_hash"] != reading.champion(other).tags["content_hash"]
    assert len(registry.versions()) == 1
