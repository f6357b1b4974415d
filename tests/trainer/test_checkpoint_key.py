"""Checkpoints are found again by everything that determines pre-training, and by nothing else."""

import json

import pytest

from contracts import examples
from pipeline_config import Pretrain, WarmStart
from trainer.pretrain import checkpoint_key, read_origin

ORIGIN = json.loads(examples.origin("fingerprint", {"max_side": 64}, "components"))


@pytest.mark.parametrize("other", [
    (Pretrain(seed=1), ORIGIN, "trainer"),
    (Pretrain(), ORIGIN | {"data_fingerprint": "other photographs"}, "trainer"),
    (Pretrain(), ORIGIN | {"settings": {"max_side": 128}}, "trainer"),
    (Pretrain(), ORIGIN | {"code_version": "other"}, "trainer"),
    (Pretrain(), ORIGIN, "other"),
])  # fmt: skip
def test_other_settings_data_or_code_begin_anew(other):
    assert checkpoint_key(*other) != checkpoint_key(Pretrain(), ORIGIN, "trainer")


def test_the_same_pre_training_finds_its_checkpoints():
    first, again = (checkpoint_key(Pretrain(), dict(ORIGIN), "trainer") for _ in range(2))
    assert first == again


def test_of_a_backbone_to_start_from_the_content_counts_and_not_the_place():
    there, elsewhere, other = (
        checkpoint_key(Pretrain(warm_start=WarmStart("4", place, content)), ORIGIN, "trainer")
        for place, content in (("gs://b/job-1/model", "aa"), ("gs://b/job-2/model", "aa"), ("gs://b/job-1/model", "bb"))
    )
    assert there == elsewhere and len({there, other, checkpoint_key(Pretrain(), ORIGIN, "trainer")}) == 3


def test_the_origin_lies_beside_the_splits(record_files):
    assert read_origin([record_files["train"]])["data_fingerprint"] == "d"
