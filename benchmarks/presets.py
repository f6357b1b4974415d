"""A preset's settings for a benchmark, which computes in float32 unless it is told otherwise: `auto` would time the machine first."""

from collections.abc import Sequence

from pipeline import settings
from pipeline_config import Config


def configuration(preset: str, overrides: Sequence[str]) -> Config:
    """As pipeline.settings.configuration, with `pretrain.precision=float32` before the overrides."""
    return settings.configuration(preset, ["pretrain.precision=float32", *overrides])
