"""Turns `--set KEY=VALUE` into a configuration. Pure, so that a mistake costs no run.

A key is the dotted path of a field of `pipeline_config.Config` (`pretrain.epochs`, `pretrain.views.hue`); the field's annotation
says how its value is read. Anything else is a ConfigurationError that says what was received and what is valid.
"""

import dataclasses
import difflib
import math
import os
import typing
from collections.abc import Callable, Sequence

from pipeline_config import KERAS_FILE, PRESETS, Config, ConfigurationError

# Fields of Config that have an option of their own.
NOT_SETTABLE = ("preset",)


def configuration(preset: str, overrides: Sequence[str] = ()) -> Config:
    """The configuration named `preset` with `overrides` ("KEY=VALUE") applied together; the last one for a key counts.

    Raises:
      ConfigurationError: an unknown preset or key (the nearest valid one is named), a value of the wrong type or out of range.
    """
    if preset not in PRESETS:
        raise ConfigurationError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}{_did_you_mean(preset, PRESETS)}")
    types = field_types()
    values = dict(_parse(override, types) for override in overrides)
    return _replace(PRESETS[preset], values)


def field_types() -> dict[str, object]:
    """Every settable dotted key with its annotation, in the order of the configuration."""
    return dict(_walk(Config, ""))


def _walk(section: type, prefix: str):
    annotations = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        annotation = annotations[field.name]
        if dataclasses.is_dataclass(annotation):
            yield from _walk(annotation, f"{prefix}{field.name}.")
        elif prefix or field.name not in NOT_SETTABLE:
            yield prefix + field.name, annotation


def _parse(override: str, types: dict[str, object]) -> tuple[str, object]:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals:
        raise ConfigurationError(f"--set takes KEY=VALUE, got {override!r}; for example --set pretrain.epochs=20")
    if key not in types:
        inside = [name for name in types if name.startswith(f"{key}.")]
        if inside:
            raise ConfigurationError(f"{key} is a group of settings, got {override!r}; set one of {', '.join(inside)}")
        raise ConfigurationError(f"unknown setting {key!r}{_did_you_mean(key, types)}")
    return key, read_value(key, text.strip(), types[key])


def _did_you_mean(name: str, valid: typing.Iterable[str]) -> str:
    """The nearest valid name as half a sentence: by its whole, or else by its last part (`epoch` means `pretrain.epochs`)."""
    names = list(valid)
    nearest = difflib.get_close_matches(name, names, n=1)
    if not nearest:
        last_parts = {full.rpartition(".")[2]: full for full in reversed(names)}
        nearest = [last_parts[part] for part in difflib.get_close_matches(name.rpartition(".")[2], last_parts, n=1)]
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; valid are {', '.join(names)}"


def read_value(key: str, text: str, annotation: object) -> object:
    """`text` as a value of `annotation`: int, float, bool, str, or a tuple of floats or strings (comma-separated).

    Raises:
      ConfigurationError: `text` is not such a value.
    """
    reader, expected = READERS[annotation]
    try:
        return reader(text)
    except ValueError:
        raise ConfigurationError(f"{key} must be {expected}, got {text!r}") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _floats(text: str) -> tuple[float, ...]:
    return tuple(_finite(part) for part in text.split(","))


READERS: dict[object, tuple[Callable[[str], object], str]] = {
    int: (int, "a whole number"),
    float: (_finite, "a number"),
    bool: (_boolean, "true or false"),
    str: (str, "text"),
    tuple[float, ...]: (_floats, "numbers separated by commas"),
    tuple[str, ...]: (_words, "words separated by commas"),
}


def _replace(section: typing.Any, values: dict[str, object]) -> typing.Any:
    """`section` with `values` by dotted key, all at once, so that two fields that limit each other can be changed together."""
    changes: dict[str, object] = {}
    groups: dict[str, dict[str, object]] = {}
    for key, value in values.items():
        first, _, rest = key.partition(".")
        if rest:
            groups.setdefault(first, {})[rest] = value
        else:
            changes[first] = value
    nested = {name: _replace(getattr(section, name), group) for name, group in groups.items()}
    return dataclasses.replace(section, **changes, **nested)


# What a warm start takes instead of two settings of pre-training.
OF_WARM_START = {"epochs": "warm_start_epochs", "base_learning_rate": "warm_start_learning_rate"}


def for_warm_start(config: Config, overrides: Sequence[str]) -> Config:
    """`config` with the epochs and the rate of `overrides` (KEY=VALUE) as those of a warm start, unless they give these too."""
    given = {override.partition("=")[0].strip() for override in overrides}
    values = {special: getattr(config.pretrain, usual) for usual, special in OF_WARM_START.items()
              if f"pretrain.{usual}" in given and f"pretrain.{special}" not in given}  # fmt: skip
    return dataclasses.replace(config, pretrain=dataclasses.replace(config.pretrain, **values))


# Settings that can name a folder or a file of this machine.
PATHS = ("source", "labels", "unlabelled")


def with_absolute_paths(config: Config) -> Config:
    """`config` with local paths of data, key and start made absolute, so that they mean the same from any working directory."""
    data = dataclasses.replace(config.data, **{name: _absolute(getattr(config.data, name)) for name in PATHS})
    registry = dataclasses.replace(config.registry, signing_key=_absolute(config.registry.signing_key))
    start = config.pretrain.start
    pretrain = dataclasses.replace(config.pretrain, start=_absolute(start) if start.endswith(KERAS_FILE) else start)
    return dataclasses.replace(config, data=data, registry=registry, pretrain=pretrain)


def _absolute(source: str) -> str:
    if source in ("", "synthetic") or source.startswith("tfds:") or "://" in source:
        return source
    return os.path.abspath(os.path.expanduser(source))
