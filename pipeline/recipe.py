"""What determines a candidate, as one hash. Called by the verb `run`; pure.

Two runs of one recipe train the same backbone: the second finds its nodes cached, its checkpoints or its champion by these
hashes.
"""

import dataclasses
import hashlib
import json

import pipeline_config
from pipeline_config import Config


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run's candidate comes from, beyond the settings of its training.

    Attributes:
      data_fingerprint: hash of the source's content.
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
    return _hash(_pretraining(config, origin) | {"linear_eval": pipeline_config.to_dict(config.linear_eval)})


def checkpoint_key(config: Config, origin: Origin) -> str:
    """First 16 hex digits of the hash of everything that determines pre-training: the name of its checkpoints' folder."""
    return _hash(_pretraining(config, origin))[:16]


def _pretraining(config: Config, origin: Origin) -> dict:
    return dataclasses.asdict(origin) | {"pretrain": pipeline_config.to_dict(config.pretrain)}


def _hash(values: dict) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
