"""What a run on this machine refuses before its first node, and what it does not read again."""

import shutil

import pytest

from components.example_gen import known_content
from contracts.layout import Layout
from pipeline import local
from pipeline.settings import configuration
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


def test_photographs_that_have_not_changed_are_not_read_again_unless_all_are_asked_for(monkeypatch, tmp_path, small_folder):
    monkeypatch.setattr(known_content, "GRANULARITY_NS", -60_000_000_000)  # else files that were just written are read once more
    config, layout, said = configuration("cpu", [f"data.source={small_folder}"]), Layout.at(str(tmp_path)), []
    found = [local.inspect_source(config, layout, full_check, said.append) for full_check in (False, False, True)]
    assert len({one.fingerprint for one in found}) == 1
    count = len(found[0].photographs)
    assert said == [f"Read 0 of {count} files; the others are as they were when they were read before (--full-check reads all)",
                    f"Read all {count} files; none has changed that looked unchanged"]  # fmt: skip


def test_two_sources_in_turn_are_both_known(monkeypatch, tmp_path, small_folder):
    monkeypatch.setattr(known_content, "GRANULARITY_NS", -60_000_000_000)
    other = shutil.copytree(small_folder, tmp_path / "other")
    for picture in sorted(other.rglob("*.jpg"))[::3]:
        picture.write_bytes(picture.read_bytes() + b"\0")
    layout, said = Layout.at(str(tmp_path / "DIR")), []
    for source in (small_folder, other, small_folder, other):
        local.inspect_source(configuration("cpu", [f"data.source={source}"]), layout, say=said.append)
    assert [sentence.partition(" files")[0] for sentence in said] == ["Read 0 of 60", "Read 0 of 60"]
