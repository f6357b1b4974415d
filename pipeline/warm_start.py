"""`flowers run --warm-start VERSION`: the configuration of a run that starts from a registered backbone.

Called by the verb `run`, before any node.
"""

import dataclasses
import json
import os

from components.registry import reading
from components.registry.files import BACKBONE
from components.registry.opening import open_registry
from components.registry.version import CONTENT_HASH, RegistryError
from contracts import model_files
from pipeline.layout import Layout
from pipeline_config import Config, ConfigurationError, WarmStart

# What two networks have to share for the weights of one to fit the other and to mean the same there.
SAME = ("backbone", "width", "stem", "resolution")


def with_warm_start(config: Config, layout: Layout, wanted: str) -> Config:
    """`config` with the version as pretrain.warm_start, and its epochs and rate those of a warm start.

    Path and content hash are settings of pre-training from here on, so that cache, checkpoints and recipe depend on them.

    Args:
      config: the settings.
      layout: where the registry is.
      wanted: number or alias of a version.

    Raises:
      ConfigurationError: no such version, a damaged one, or one whose network differs from the configured one.
    """
    try:
        version = reading.get_version(open_registry(str(layout.registry), config.registry.name), wanted)
    except RegistryError as error:
        raise ConfigurationError(f"--warm-start {wanted}: {error}; a run without --warm-start registers a first one") from error
    differences = reading.verify(version)
    if differences:
        first = differences[0]
        raise ConfigurationError(
            f"--warm-start {wanted}: version {version.version} at {version.path} is not as it was registered ({first.path}: "
            f"{first.problem}); restore its files, or choose another version (`flowers registry list`)"
        )
    backbone = os.path.join(version.path, BACKBONE)
    with open(os.path.join(backbone, model_files.BACKBONE_RECORD), encoding="utf-8") as file:
        record = json.load(file)
    for field in SAME:
        configured = getattr(config.pretrain, field)
        if record[field] != configured:
            raise ConfigurationError(
                f"--warm-start {wanted}: version {version.version} has {field} {record[field]}, but pretrain.{field} is "
                f"{configured}; set pretrain.{field}={record[field]}, or start without --warm-start"
            )
    pretrain = dataclasses.replace(
        config.pretrain, epochs=config.pretrain.warm_start_epochs, base_learning_rate=config.pretrain.warm_start_learning_rate,
        warm_start=WarmStart(version.version, backbone, version.tags[CONTENT_HASH]))  # fmt: skip
    return dataclasses.replace(config, pretrain=pretrain)
