"""The figures of the gate against NumPy, by TFMA on real SavedModels."""

import gc

import apache_beam as beam
import numpy as np
import pytest

from components.evaluator import tfma_metrics
from components.evaluator.evidence import Pairs
from components.evaluator.gate import EvaluationError
from components.evaluator.measure import measure

CLASSES = ("daisy", "rose", "tulip")
# Columns are classes: the brightest of red, green and blue decides, more or less sharply, or nothing does.
SHARP = np.eye(3) * 6
SWAPPED = np.eye(3)[[1, 0, 2]] * 2.5
UNDECIDED = np.array([[0.2, 0.1, 0.0]] * 3)


@pytest.fixture
def photographs():
    """40 colours of 3 classes, unevenly many, a third of them of the wrong colour."""
    random = np.random.default_rng(5)
    labels = random.choice(3, size=40, p=[0.5, 0.3, 0.2])
    looks_like = np.where(random.random(40) < 0.33, random.integers(0, 3, 40), labels)
    colours = random.integers(20, 120, (40, 3))
    colours[np.arange(40), looks_like] += 100
    return colours, labels


def test_all_models_in_one_run_give_the_figures_that_numpy_gives(tmp_path, save_probe, write_split, expect, photographs):
    split = write_split("eval", *photographs, shards=2)
    weights = {"candidate": SHARP, "untrained": UNDECIDED, "champion": SWAPPED}
    models = {name: save_probe(name, matrix) for name, matrix in weights.items()}
    measured = measure(beam.Pipeline(), models, CLASSES, split.files, str(tmp_path / "out"))
    for name, matrix in weights.items():
        expected = expect(split, matrix)
        one = measured[name]
        assert one.accuracy == expected.accuracy  # exact: a quotient of counts
        assert one.macro_f1 == pytest.approx(expected.macro_f1, abs=1e-12)
        # The probes compute in float32, and decode JPEG with another library.
        assert one.cross_entropy == pytest.approx(expected.cross_entropy, abs=1e-4)
        assert one.confusion_matrix == expected.confusion_matrix
        assert one.examples == 40
        assert one.per_class == {CLASSES[k]: expected.confusion_matrix[k][k] / sum(expected.confusion_matrix[k]) for k in range(3)}
    labels, candidate = photographs[1], expect(split, SHARP).correct
    for name in ("untrained", "champion"):
        other = expect(split, weights[name]).correct
        for label, class_name in enumerate(CLASSES):
            of = labels == label
            counts = [int(np.sum(of & which)) for which in (candidate & ~other, other & ~candidate, candidate & other, of)]
            assert measured[name].pairs[class_name] == Pairs(*counts)
        assert sum(one.only_candidate for one in measured[name].pairs.values()) != sum(
            one.only_other for one in measured[name].pairs.values()
        )
    assert not measured["candidate"].pairs
    # The three differ, so that figures under a wrong name would have been noticed.
    assert len({measured[name].accuracy for name in models}) == 3


# Two runs of TFMA, one over seven files.
@pytest.mark.slow
def test_figures_do_not_depend_on_sharding(tmp_path, save_probe, write_split, photographs):
    models = {"candidate": save_probe("candidate", SHARP), "untrained": save_probe("untrained", SWAPPED)}
    results = []
    for shards in (1, 7):
        split = write_split(f"eval{shards}", *photographs, shards=shards)
        results.append(measure(beam.Pipeline(), models, CLASSES, split.files, str(tmp_path / f"out{shards}")))
    for name in models:
        one, seven = (result[name] for result in results)
        assert (one.accuracy, one.macro_f1, one.confusion_matrix) == (seven.accuracy, seven.macro_f1, seven.confusion_matrix)
        assert one.pairs == seven.pairs
        assert one.cross_entropy == pytest.approx(seven.cross_entropy, rel=1e-12)


def test_a_class_without_eval_photographs_has_no_accuracy(tmp_path, save_probe, write_split):
    split = write_split("eval", [(250, 10, 10), (10, 250, 10)], [0, 1])
    models = {name: save_probe(name, SHARP) for name in ("candidate", "untrained")}
    measured = measure(beam.Pipeline(), models, CLASSES, split.files, str(tmp_path / "out"))["candidate"]
    assert measured.per_class == {"daisy": 1.0, "rose": 1.0, "tulip": None}
    assert measured.macro_f1 == 1.0


def test_probabilities_that_are_not_numbers_show_in_the_cross_entropy(tmp_path, save_probe, write_split):
    split = write_split("eval", [(250, 10, 10), (10, 250, 10)], [0, 1])
    models = {"candidate": save_probe("candidate", SHARP * np.nan), "untrained": save_probe("untrained", SHARP)}
    measured = measure(beam.Pipeline(), models, CLASSES, split.files, str(tmp_path / "out"))
    assert np.isnan(measured["candidate"].cross_entropy)
    assert measured["untrained"].cross_entropy < 0.1


def test_an_eval_split_without_photographs_is_an_error(tmp_path, save_probe, write_split):
    split = write_split("eval", np.zeros((0, 3)), np.zeros(0, int))
    models = {name: save_probe(name, SHARP) for name in ("candidate", "untrained")}
    with pytest.raises(EvaluationError, match="must have a photograph, got no example"):
        measure(beam.Pipeline(), models, CLASSES, split.files, str(tmp_path / "out"))


def test_a_class_that_the_probe_does_not_know_is_an_error(tmp_path, save_probe, write_split):
    split = write_split("eval", [(250, 10, 10)] * 2, [0, 1], classes=("daisy", "orchid"))
    models = {name: save_probe(name, SHARP) for name in ("candidate", "untrained")}
    with pytest.raises(EvaluationError, match="only of the probe's classes daisy, rose, tulip, got 'orchid'"):
        measure(beam.Pipeline(), models, CLASSES, split.files, str(tmp_path / "out"))


def test_accuracy_and_macro_f1_of_a_known_matrix():
    # Two classes, 10 and 5 photographs: TP 8 and 2, so F1 16/21 and 4/9; a third class that never occurs does not count.
    counts = np.array([[8, 2, 0], [3, 2, 0], [0, 0, 0]])
    assert tfma_metrics.counts_to_accuracy(counts) == 10 / 15
    assert tfma_metrics.counts_to_macro_f1(counts) == pytest.approx((16 / 21 + 4 / 9) / 2, abs=1e-15)


def test_a_class_that_is_never_recognised_pulls_macro_f1_down():
    assert tfma_metrics.counts_to_macro_f1(np.array([[4, 0], [4, 0]])) == pytest.approx((2 * 4 / 12) / 2)


@pytest.mark.parametrize("function", [tfma_metrics.counts_to_accuracy, tfma_metrics.counts_to_macro_f1])
def test_nothing_counted_is_not_a_number(function):
    assert np.isnan(function(np.zeros((2, 2))))


def test_no_model_stays_in_memory(tmp_path, save_probe, write_split, photographs):
    def functions_of_models():
        gc.collect()
        return sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects())

    split = write_split("eval", *photographs)
    models = {name: save_probe(name, matrix) for name, matrix in {"candidate": SHARP, "untrained": UNDECIDED}.items()}
    before = functions_of_models()
    measure(beam.Pipeline(), models, CLASSES, split.files, str(tmp_path / "out"))
    assert functions_of_models() == before
