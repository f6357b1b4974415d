"""What determines a candidate, as one hash. Called by the verbs `run` and `compile`; pure.

Two runs of one recipe train the same backbone: the second finds its champion by this hash.
"""

import dataclasses
import hashlib
import json

import pipeline_config
from components.registry.version import recipe_with_data
from pipeline_config import Config


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run's candidate comes from, beyond the settings of its training.

    Attributes:
      data_fingerprint: hash of the source's content; "" where the DAG is built without a look at it, as ExampleGen has one.
      ingest_settings: the settings that ExampleGen's output depends on, as JSON.
      components_version: `code_version` of what reads, checks, judges and pushes.
      trainer_version: `code_version` of what trains.
    """

    data_fingerprint: str
    ingest_settings: str
    components_version: str
    trainer_version: str


def recipe(config: Config, origin: Origin) -> str:
    """SHA-256 (hex) of what determines backbone and probe: data, code, and the settings of ingest and both trainers."""
    return recipe_with_data(recipe_without_data(config, origin), origin.data_fingerprint)


def recipe_without_data(config: Config, origin: Origin) -> str:
    """The part of the recipe that is known when a DAG is built, before its data has been looked at."""
    values = dataclasses.asdict(origin) | {
        "pretrain": pipeline_config.to_dict(config.pretrain),
        "embedding": pipeline_config.to_dict(config.embedding),
        "linear_eval": pipeline_config.to_dict(config.linear_eval),
    }
    del values["data_fingerprint"]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
