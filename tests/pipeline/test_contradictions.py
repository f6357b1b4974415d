"""Settings without an effect beside others are refused, by every verb that takes settings; those with one are not."""

import fnmatch

import pytest

from cli import arguments
from cli.main import parser
from pipeline import settings
from pipeline.contradictions import RULES, Way, require_none
from pipeline_config import ConfigurationError

PLACE = ("--project", "p", "--region", "r", "--bucket", "gs://b", "--image", "i")
CREATE = ("schedule", "create", "weekly", "--cron", "0 3 * * 1", "--preset", "quick")
HERE = (("run",), ("doctor",), (*CREATE, "--local"))
ON_VERTEX = (("compile", *PLACE, "-o", "job.json"), ("submit", *PLACE), (*CREATE, *PLACE))
FOLDER = ("--data", "gs://bucket/photographs")


def read(*words):
    return arguments.configuration(parser().parse_args(words))


@pytest.mark.parametrize(("more", "key"), [
    ((*FOLDER, "--set", "data.synthetic_images=50"), "data.synthetic_images"),
    (("--data", "tfds:mnist", "--set", "data.synthetic_seed=2"), "data.synthetic_seed"),
    (("--data", "tfds:mnist", "--set", "data.min_eval=9"), "data.min_eval"),
    (("--data", "synthetic", "--set", "data.min_eval=9"), "data.min_eval"),
    ((*FOLDER, "--set", "pretrain.views.blur_probability=0", "--set", "pretrain.views.blur_max_sigma=2.5"),
     "pretrain.views.blur_max_sigma"),
    ((*FOLDER, "--set", "pretrain.views.jitter_probability=0", "--set", "pretrain.views.hue=0.2"), "pretrain.views.hue"),
])  # fmt: skip
@pytest.mark.parametrize("verb", [*HERE, *ON_VERTEX])
def test_every_verb_refuses_a_setting_that_the_data_or_another_setting_makes_void(verb, more, key):
    with pytest.raises(ConfigurationError, match=f"^{key} counts only .*; .*, or leave out {key}$"):
        read(*verb, *more)


@pytest.mark.parametrize(("verbs", "key"), [
    (HERE, "vertex.pretrain.spot=true"), (HERE, "vertex.labels=a=b"), (HERE, "pretrain.warm_start_epochs=3"),
    (ON_VERTEX, "pretrain.warm_start_learning_rate=3"), (ON_VERTEX, "pretrain.min_gpus=2"), (ON_VERTEX, "vertex.dataflow_max_workers=3"),
    (ON_VERTEX, "vertex.wait_hours=2"), (ON_VERTEX, "vertex.poll_seconds=2"), (HERE, "supervised.weight_decay=0.1"),
    (ON_VERTEX, "supervised.weight_decay=0.1"),
])  # fmt: skip
def test_a_setting_of_another_way_to_run_is_refused(verbs, key):
    for verb in verbs:
        with pytest.raises(ConfigurationError, match=f"^{key.partition('=')[0]} counts only"):
            read(*verb, *FOLDER, "--set", key)


@pytest.mark.parametrize("words", [
    ("run", "--set", "data.synthetic_images=50"),
    ("run", "--data", "photographs", "--set", "data.min_eval=9"),
    ("run", "--warm-start", "champion", "--set", "pretrain.warm_start_epochs=3"),
    ("run", "--warm-start", "champion", "--set", "pretrain.epochs=3"),
    ("run", "--set", "pretrain.epochs=3", "--set", "pretrain.min_gpus=0"),
    ("run", "--set", "pretrain.views.blur_probability=0.5", "--set", "pretrain.views.blur_max_sigma=2.5"),
    ("compile", *PLACE, *FOLDER, "-o", "job.json", "--set", "vertex.beam_cpus=4"),
    ("compile", *PLACE, *FOLDER, "-o", "job.json", "--beam-runner", "dataflow", "--set", "vertex.dataflow_max_workers=4"),
    ("submit", *PLACE, *FOLDER, "--wait", "--set", "vertex.wait_hours=2"),
    ("submit", *PLACE, *FOLDER, "--warm-start", "champion", "--set", "pretrain.warm_start_epochs=2"),
])  # fmt: skip
def test_a_setting_that_counts_is_taken(words):
    read(*words)


@pytest.mark.parametrize(("usual", "special"), [
    ("pretrain.epochs", "pretrain.warm_start_epochs"), ("pretrain.base_learning_rate", "pretrain.warm_start_learning_rate")])  # fmt: skip
def test_a_warm_start_takes_one_of_two_settings(usual, special):
    with pytest.raises(ConfigurationError, match=f"{usual} counts only without {special}, which replaces it here"):
        read("run", "--warm-start", "2", "--set", f"{usual}=3", "--set", f"{special}=4")


def test_what_a_warm_start_finds_out_cannot_be_given_with_it():
    with pytest.raises(ConfigurationError, match="pretrain.warm_start.version counts only without --warm-start"):
        read("run", "--warm-start", "2", "--set", "pretrain.warm_start.version=3")
    with pytest.raises(ConfigurationError, match="pretrain.warm_start.version counts only without --warm-start"):
        read("submit", *PLACE, *FOLDER, "--warm-start", "2", "--set", "pretrain.warm_start.version=3")


@pytest.mark.parametrize("verb", [("run", *FOLDER), ("submit", *PLACE, *FOLDER)])
def test_the_epochs_that_were_given_are_those_of_a_warm_start_too(verb):
    pretrain = read(*verb, "--warm-start", "2", "--set", "pretrain.epochs=3").pretrain
    assert (pretrain.epochs, pretrain.warm_start_epochs) == (3, 3)
    other = read(*verb, "--warm-start", "2", "--set", "pretrain.warm_start_epochs=4").pretrain
    assert other.warm_start_epochs == 4 and other.epochs not in (3, 4)


def test_nothing_is_refused_that_was_not_given():
    for preset in ("quick", "cpu", "gpu"):
        for way in (Way(), Way(here=False)):
            require_none(settings.configuration(preset, ["data.source=x"]), ["data.source=x"], way)


def test_every_rule_is_about_settings_that_exist():
    for rule in RULES:
        assert fnmatch.filter(settings.field_types(), rule.keys), rule.keys


def test_a_source_s_name_cannot_reach_the_terminal():
    with pytest.raises(ConfigurationError, match=r"a\\x1b\[2Jb"):
        read("run", "--data", "a\x1b[2Jb", "--set", "data.synthetic_images=50")
