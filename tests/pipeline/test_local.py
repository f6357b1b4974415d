"""What a run on this machine refuses before its first node."""

import pytest

from cli.settings import configuration
from contracts.layout import Layout
from pipeline import local
from pipeline_config import ConfigurationError
from trainer import devices


class Inspected(Exception):
    """The source is looked at: nothing was refused."""


@pytest.mark.parametrize(("gpus", "settings", "refused"), [
    (0, [], ""), (1, [], ""), (4, [], ""),
    (0, ["pretrain.min_gpus=1"], "this needs 1 GPU, but TensorFlow sees none"),
    (0, ["pretrain.min_gpus=1", "pretrain.allow_cpu=true"], ""),
    (3, [], "pretrain.batch_size must be a multiple of the 3 devices that share it, two images or more each, got 32; try 33"),
    (32, ["pretrain.min_gpus=1"], "must be a multiple of the 32 devices .*, two images or more each, got 32"),
])  # fmt: skip
def test_gpus_that_are_too_few_or_cannot_share_a_batch_are_refused(monkeypatch, tmp_path, gpus, settings, refused):
    def inspect(*arguments):
        raise Inspected

    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    monkeypatch.setattr(devices, "what_tensorflow_says", lambda: "")
    monkeypatch.setattr(local, "inspect", inspect)
    with pytest.raises(ConfigurationError if refused else Inspected, match=refused):
        local.inspect_source(configuration("quick", settings), Layout.at(str(tmp_path)))
