"""Benchmarks that build a preset's networks themselves need a precision that can be computed in."""

import pytest

from benchmarks.presets import configuration
from pipeline_config import PRESETS
from trainer.simsiam import build_simsiam


@pytest.mark.parametrize("preset", PRESETS)
def test_networks_can_be_built_from_any_preset(preset):
    settings = configuration(preset, ["pretrain.width=4", "pretrain.projector_width=8"]).pretrain
    assert settings.precision == "float32" and build_simsiam(settings).backbone.compute_dtype == "float32"
    assert configuration(preset, ["pretrain.precision=mixed_bfloat16"]).pretrain.precision == "mixed_bfloat16"
