"""Linear evaluation never has more of the features in memory than a block of them: a copy of all would be 4 GB at a million."""

import numpy as np
import pytest

from pipeline_config import LinearEval
from trainer import blocks, evaluation, probe
from trainer.evaluation import Features

TAKEN: list[int] = []


class Watched(np.ndarray):
    """Features that note how many numbers were copied or computed from them at a time; slices are views and take no memory."""

    def __getitem__(self, key):
        found = super().__getitem__(key)
        TAKEN.append(0 if np.may_share_memory(found, self) else found.size)
        return found

    def __array_finalize__(self, of):
        if self.ndim == 2 and isinstance(of, Watched):
            TAKEN.append(0 if np.may_share_memory(self, of) else self.size)


def watched(features: Features) -> Features:
    return Features(features.train.view(Watched), features.train_labels, features.eval.view(Watched), features.eval_labels)


@pytest.mark.parametrize("most_logits", [probe.MOST_LOGITS, 2400, 600], ids=["folds", "one division of all", "one division of a part"])
def test_no_more_than_a_block_of_features_is_in_memory_and_nothing_changes(monkeypatch, most_logits):
    random = np.random.default_rng(0)
    labels, truth = np.arange(600) % 4, np.arange(200) % 4
    centres = random.normal(size=(4, 10))
    both = []
    for strength in (1.0, 0.3):
        train, held_out = (strength * centres[of] + random.normal(size=(len(of), 10)) for of in (labels, truth))
        both.append(Features(train.astype(np.float32), labels, held_out.astype(np.float32), truth))
    settings = LinearEval(regularisation=(0.01, 1.0), label_draws=2, folds=3, neighbours=5)
    monkeypatch.setattr(probe, "MOST_LOGITS", most_logits)
    *_, expected = evaluation.evaluate(*both, settings)
    monkeypatch.setattr(blocks, "BLOCK", 400)
    monkeypatch.setattr(blocks, "IN_MEMORY", 0)
    monkeypatch.setattr("trainer.features.QUERIES", 10)
    monkeypatch.setattr("trainer.features.PIECE", 40)
    TAKEN.clear()
    *_, report = evaluation.evaluate(*map(watched, both), settings)
    assert 100 < max(TAKEN) <= 400, sorted(TAKEN)[-5:]
    for name in ("top1", "knn_top1", "random_init_top1", "top1_at_10_percent_labels", "train_top1", "regularisation"):
        assert report[name] == pytest.approx(expected[name]), name
