"""`--set KEY=VALUE`: what is accepted, and what an error says."""

import dataclasses
import math
import pathlib
import typing

import pytest

from pipeline import settings
from pipeline_config import PRESETS, ConfigurationError


def test_no_override_is_the_preset():
    assert settings.configuration("cpu") == PRESETS["cpu"]


def test_overrides_are_typed_by_their_field():
    config = settings.configuration("quick", [
        "pretrain.epochs=20", "pretrain.backbone=resnet18", "data.max_bad_fraction=0.5", "pretrain.views.hue=0.02",
        "linear_eval.regularisation=0.1, 1,10", "data.source=a=b", "gate.min_accuracy=1"])  # fmt: skip
    assert config.pretrain.epochs == 20 and type(config.pretrain.epochs) is int
    assert config.pretrain.backbone == "resnet18"
    assert config.data.max_bad_fraction == 0.5
    assert config.pretrain.views.hue == 0.02
    assert config.linear_eval.regularisation == (0.1, 1.0, 10.0)
    assert config.data.source == "a=b"  # only the first = divides
    assert config.gate.min_accuracy == 1.0 and type(config.gate.min_accuracy) is float


def test_what_is_not_overridden_stays_as_the_preset_has_it():
    config = settings.configuration("quick", ["pretrain.views.hue=0.02"])
    assert config.pretrain.views.saturation == PRESETS["quick"].pretrain.views.saturation
    assert config.pretrain.epochs == PRESETS["quick"].pretrain.epochs
    assert config.data == PRESETS["quick"].data


def test_the_last_of_two_overrides_counts():
    assert settings.configuration("quick", ["pretrain.epochs=2", "pretrain.epochs=3"]).pretrain.epochs == 3


def test_two_fields_that_limit_each_other_can_be_changed_together():
    # Either alone is refused: the smallest sigma may not exceed the largest, which is 2.
    both = ["pretrain.views.blur_min_sigma=3", "pretrain.views.blur_max_sigma=4"]
    assert settings.configuration("quick", both).pretrain.views.blur_min_sigma == 3
    with pytest.raises(ConfigurationError, match="blur_min_sigma"):
        settings.configuration("quick", both[:1])


def as_text(value):
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else value


def test_every_field_of_every_preset_can_be_set_to_what_it_is():
    for name, config in PRESETS.items():
        overrides = []
        for key in settings.field_types():
            value = config
            for part in key.split("."):
                value = getattr(value, part)
            overrides.append(f"{key}={as_text(value)}")
        assert settings.configuration(name, overrides) == config


@pytest.mark.parametrize(("key", "nearest"), [
    ("pretrain.epoch", "pretrain.epochs"),
    ("pretain.batch_size", "pretrain.batch_size"),
    ("epochs", "pretrain.epochs"),
    ("hue", "pretrain.views.hue"),
    ("gate.min_acuracy", "gate.min_accuracy"),
])  # fmt: skip
def test_an_unknown_key_is_refused_with_the_nearest(key, nearest):
    with pytest.raises(ConfigurationError, match=f"unknown setting '{key}'; did you mean '{nearest}'"):
        settings.configuration("quick", [f"{key}=1"])


def test_a_key_like_no_other_is_refused_with_all_that_there_are():
    with pytest.raises(ConfigurationError, match="valid are data.source, .*registry.name"):
        settings.configuration("quick", ["zzzzzz=1"])


@pytest.mark.parametrize(("override", "message"), [
    ("pretrain.epochs=many", "pretrain.epochs must be a whole number, got 'many'"),
    ("pretrain.epochs=1.5", "pretrain.epochs must be a whole number, got '1.5'"),
    ("gate.min_accuracy=nan", "gate.min_accuracy must be a number, got 'nan'"),
    ("gate.min_accuracy=", "gate.min_accuracy must be a number, got ''"),
    ("linear_eval.regularisation=1,,2", "linear_eval.regularisation must be numbers separated by commas, got '1,,2'"),
    ("pretrain.views=1", "pretrain.views is a group of settings"),
    ("pretrain.epochs", "--set takes KEY=VALUE, got 'pretrain.epochs'"),
    ("preset=cpu", "unknown setting 'preset'"),
    ("pretrain.resolution=50", "pretrain.resolution must be a multiple of 8"),
    ("data.max_bad_fraction=2", "data.max_bad_fraction must be between 0 and 1, got 2"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_words(override, message):
    with pytest.raises(ConfigurationError) as error:
        settings.configuration("quick", [override])
    assert message in str(error.value)


NUMBERS = [key for key, kind in settings.field_types().items() if kind in (int, float)]


def changed(section, key, value):
    """`section` with one field replaced, without the command line's own reading of numbers."""
    first, _, rest = key.partition(".")
    return dataclasses.replace(section, **{first: changed(getattr(section, first), rest, value) if rest else value})


@pytest.mark.parametrize("key", NUMBERS)
def test_every_number_has_a_finite_range_outside_of_which_it_is_refused_by_name(key):
    """As what reads a configuration from JSON, which may hold NaN and Infinity, a section itself refuses them."""
    for value in (math.nan, math.inf, -math.inf, -(10**40), 10**40, -1.5):
        with pytest.raises(ConfigurationError, match=rf"^{key} must be .*\d.*, got "):
            changed(PRESETS["gpu"], key, value)


@pytest.mark.parametrize("key", [key for key, kind in settings.field_types().items() if kind == tuple[float, ...]])
def test_every_list_of_numbers_refuses_what_is_none(key):
    for value in (math.nan, math.inf, -math.inf, -1.0):
        with pytest.raises(ConfigurationError, match=rf"^{key} must be "):
            changed(PRESETS["gpu"], key, (value,))


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "-1e999"])
def test_what_is_no_number_is_refused_as_it_is_read(text):
    for key, kind in settings.field_types().items():
        if kind in (int, float) or typing.get_args(kind)[:1] == (float,):
            with pytest.raises(ConfigurationError, match=f"^{key} must be "):
                settings.configuration("quick", [f"{key}={text}"])


def test_the_ends_of_a_range_are_in_it_unless_it_says_otherwise():
    for override in ("data.max_bad_fraction=0", "data.max_bad_fraction=1", "pretrain.momentum=0", "gate.power=0.5",
                     "pretrain.views.hue=0.5", "vertex.pretrain.timeout_hours=168", "pretrain.seed=2147483647"):  # fmt: skip
        settings.configuration("quick", [override])
    for override, words in (("data.eval_fraction=1", "between 0 and 1, both excluded"),
                            ("pretrain.momentum=1", "between 0 and 1, 1 excluded"),
                            ("pretrain.views.min_area=0", "between 0 and 1, 0 excluded"), ("gate.power=1", "between 0.5 and 1, 1 excluded"),
                            ("pretrain.epochs=0", "between 1 and 1,000,000, got 0")):  # fmt: skip
        with pytest.raises(ConfigurationError, match=f"{override.partition('=')[0]} must be {words}"):
            settings.configuration("quick", [override])


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match="one of quick, cpu, gpu, got 'quik'; did you mean 'quick'"):
        settings.configuration("quik")


@pytest.mark.parametrize(("source", "expected"), [
    ("synthetic", "synthetic"),
    ("tfds:tf_flowers", "tfds:tf_flowers"),
    ("gs://bucket/flowers", "gs://bucket/flowers"),
    ("some/folder/", str(pathlib.Path.cwd() / "some" / "folder")),
])  # fmt: skip
def test_only_a_local_folder_is_made_absolute(source, expected):
    config = settings.with_absolute_paths(settings.configuration("quick", [f"data.source={source}"]))
    assert config.data.source == expected


def test_a_labels_file_and_a_second_source_are_made_absolute_too():
    given = ["data.source=a", "data.labels=b.csv", "data.unlabelled=c"]
    data = settings.with_absolute_paths(settings.configuration("quick", given)).data
    assert [data.source, data.labels, data.unlabelled] == [str(pathlib.Path.cwd() / name) for name in ("a", "b.csv", "c")]
    assert settings.with_absolute_paths(settings.configuration("quick")).data == settings.configuration("quick").data
