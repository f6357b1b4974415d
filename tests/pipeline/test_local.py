"""What a run on this machine refuses before its first node."""

import pytest

from cli.settings import configuration
from pipeline import local
from pipeline_config import ConfigurationError


@pytest.mark.parametrize(("gpus", "settings", "refused"), [
    (0, [], ""), (1, [], ""), (4, [], ""),
    (0, ["pretrain.min_gpus=1"], "pretrain.min_gpus is 1, but TensorFlow sees none"),
    (3, [], "pretrain.batch_size must be a multiple of the 3 devices that share it, two images or more each, got 32; try 33"),
    (32, ["pretrain.min_gpus=1"], "must be a multiple of the 32 devices .*, two images or more each, got 32"),
])  # fmt: skip
def test_gpus_that_are_too_few_or_cannot_share_a_batch_are_refused(monkeypatch, gpus, settings, refused):
    monkeypatch.setattr(local.tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    if not refused:
        local._require_gpus(configuration("quick", settings))
        return
    with pytest.raises(ConfigurationError, match=refused):
        local._require_gpus(configuration("quick", settings))
