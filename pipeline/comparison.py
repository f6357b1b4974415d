"""What SimSiam gains over what one would use instead, on the photographs of a finished run: its division, its probe, its settings.

Each network is frozen and gets the same probe, fitted on the run's train labels and measured on its eval split, on which nothing is
chosen. Prints nothing.
"""

import dataclasses
import json
import posixpath
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras
import numpy as np

from components.evaluator import evidence
from contracts import examples, files, source_code
from contracts.content_hash import content_hash
from contracts.layout import Layout
from pipeline import metadata
from pipeline_config import ConfigurationError, LinearEval, Pretrain, Supervised, identity
from trainer import supervised
from trainer.embedding_network import copy_weights
from trainer.evaluation import Features, settings_from_json
from trainer.export import baseline_network, folded, load_backbone, network_of_others, untrained_network
from trainer.features import embedder, knn_accuracy
from trainer.linear_eval import read_views
from trainer.other_networks import open_network
from trainer.photographs import list_records
from trainer.pretrain import settings_from_json as pretrain_from_json
from trainer.probe import fit_probe, labelled_subset

RANDOM_INIT, SIMSIAM, SUPERVISED = "random-init network", "SimSiam", "supervised from scratch"

# What is being done, steps done and in all, and the seconds left; None where that is not known yet.
Progress = Callable[[str, int, int, float | None], None]


@dataclasses.dataclass(frozen=True)
class Row:
    """A network on the eval split; shares are in [0, 1].

    Attributes:
      network: which one.
      features: numbers a photograph.
      top1, low, high: linear top-1 and its 95 % interval (Wilson).
      knn_top1: of kNN.
      few_labels_top1: linear top-1 with linear_eval.label_fraction of the train labels. Of a network that learns from labels, of one
        that was trained on these alone.
      classifier_top1: of the network's own classifier, if it has one.
      gain, gain_low, gain_high: SimSiam's top-1 less this one's on the same photographs, with its 95 % interval
        (components.evaluator.evidence); None for SimSiam itself.
      training_seconds: what training it took, with all labels and with few; None where others trained it.
      embedding_seconds: of all labelled photographs.
    """

    network: str
    features: int
    top1: float
    low: float
    high: float
    knn_top1: float
    few_labels_top1: float
    classifier_top1: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    training_seconds: float | None
    embedding_seconds: float


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a comparison takes from a finished run.

    Attributes:
      record: run.json.
      train, eval: patterns of the splits' files.
      backbone: directory of the pre-trained backbone.
    """

    record: Mapping
    train: Sequence[str]
    eval: Sequence[str]
    backbone: str


def open_run(layout: Layout, record: Mapping) -> Finished:
    """The artifacts of a recorded run.

    Args:
      record: its run.json.

    Raises:
      ConfigurationError: it did not get as far as linear evaluation, no photograph had a label, or its files are gone.
    """
    outputs = {one.node: one.outputs for one in metadata.executions(layout.metadata, record["run_id"])}
    if not record.get("linear_eval") or "examples" not in outputs.get("ExampleGen", {}) or "model" not in outputs.get("Pretrain", {}):
        raise ConfigurationError(f"run {record['run_id']} has nothing to compare: a comparison needs a run with labelled photographs that "
                                 "finished linear evaluation, and whose artifacts are still there")  # fmt: skip
    splits = [[posixpath.join(outputs["ExampleGen"]["examples"], f"Split-{split}", "*")] for split in (examples.TRAIN, examples.EVAL)]
    return Finished(record, *splits, posixpath.join(outputs["Pretrain"]["model"], "Format-Serving"))


def compare(
    run: Finished, layout: Layout, recipe: Supervised, others: Sequence[str] = (), *, with_supervised: bool = True,
    on_progress: Progress = lambda what, done, steps, seconds_left: None,
) -> Iterator[Row]:  # fmt: skip
    """The rows, one after the other as they are measured: random-init network (or the network of others that was the start),
    SimSiam, supervised training, then `others`.

    Args:
      recipe: of supervised training, whose checkpoints are kept below the layout: interrupted, it continues.
      others: names for `trainer.other_networks.open_network`.

    Raises:
      ConfigurationError: one of `others` cannot be used, or the network of others that the run started from is to be trained from
        scratch; said before anything is measured.
      monitors.DivergenceError: supervised training diverged.
    """
    opened = {name: open_network(name) for name in others}
    settings = settings_from_json(run.record["configuration"]["linear_eval"])
    network, record = load_backbone(run.backbone)
    start = network_of_others(record)
    if start and with_supervised:
        raise ConfigurationError(f"the run started from {start}, which is not trained from scratch: add --no-supervised")
    measured = _Measuring(run, settings, on_progress)
    network_before = folded(baseline_network(run.backbone, record), record)
    title, seconds = (f"start: {start}", None) if start else (RANDOM_INIT, 0.0)
    baseline = measured.row(title, network_before, record["photograph_side"], seconds)
    ours = measured.row(SIMSIAM, folded(network, record), record["photograph_side"], run.record["pretrain"]["seconds"])
    yield _against(baseline, ours)
    yield ours.row
    if with_supervised:
        yield _against(_supervised(run, layout, recipe, record, measured, on_progress), ours)
    for name, other in opened.items():
        yield _against(measured.row(name, other.model, other.side, None), ours)


def _supervised(
    run: Finished, layout: Layout, recipe: Supervised, record: dict, measured: "_Measuring", on_progress: Progress
) -> "_Measured":
    """The row of two networks: one trained on all labels, and one on few of them, for the accuracy with few labels."""
    pretrain = pretrain_from_json(json.dumps(record["pretrain"]))
    steps = max(1, round(recipe.views_ratio * pretrain.view_count * run.record["pretrain"]["steps"]))

    def trained(chosen: np.ndarray, what: str) -> tuple[keras.Model, supervised.Trained]:
        done = supervised.train(
            run.train,
            chosen,
            pretrain,
            recipe,
            steps=steps,
            checkpoint_dir=str(layout.checkpoints / _key(run, pretrain, recipe, steps, chosen)),
            on_progress=lambda step, seconds_left: on_progress(what, step, steps, seconds_left),
        )
        network = untrained_network(record)
        copy_weights(done.backbone, network)
        return folded(network, record), done

    everything = measured.train_labels
    network, with_all = trained(np.arange(len(everything)), f"{SUPERVISED}, all labels")
    few_network, with_few = trained(measured.few, f"{SUPERVISED}, {len(measured.few):,} labels")
    row = measured.row(SUPERVISED, network, record["photograph_side"], with_all.seconds + with_few.seconds, few_network)
    pooled = keras.Sequential([with_all.backbone, with_all.classifier])
    logits = measured.embed(pooled, pretrain.resolution, run.eval)
    return dataclasses.replace(row, row=dataclasses.replace(
        row.row, classifier_top1=float(np.mean(logits.argmax(axis=1) == measured.eval_labels))))  # fmt: skip


def _key(run: Finished, pretrain: Pretrain, recipe: Supervised, steps: int, chosen: np.ndarray) -> str:
    """The name of a folder of checkpoints: first 16 hex digits of the hash of everything that determines the training."""
    determined_by = {"pretrain": identity(pretrain), "supervised": identity(recipe), "steps": steps, "chosen": chosen.tolist(),
                     "photographs": content_hash(posixpath.dirname(run.train[0])),
                     "code": source_code.file_hashes(["trainer.supervised"])}  # fmt: skip
    return files.json_sha256(determined_by)[:16]


@dataclasses.dataclass(frozen=True)
class _Measured:
    """A row without its difference to SimSiam, and which eval photographs its probe is right about, `[count]` bool."""

    row: Row
    right: np.ndarray


class _Measuring:
    """Measures one network after the other on the same photographs."""

    def __init__(self, run: Finished, settings: LinearEval, on_progress: Progress):
        self.run, self.settings, self.on_progress = run, settings, on_progress
        self.train_labels, self.eval_labels = (list_records(split).labels for split in (run.train, run.eval))
        self.few = labelled_subset(self.train_labels, settings.label_fraction, settings.seed)

    def embed(self, network: keras.Model, side: int, split: Sequence[str]) -> np.ndarray:
        """Features of a split, `[count, d]` float32."""
        return embedder([network])(read_views(split, side)[0])[0]

    def row(
        self, name: str, network: keras.Model, side: int, training_seconds: float | None, few_network: keras.Model | None = None
    ) -> _Measured:
        """Measures `network`, which takes squares of `side` pixels; accuracy with few labels on the features of `few_network`."""
        self.on_progress(name, 0, 1, None)
        started = time.monotonic()
        features = Features(
            self.embed(network, side, self.run.train), self.train_labels, self.embed(network, side, self.run.eval), self.eval_labels
        )
        seconds = time.monotonic() - started
        with_few = (
            features
            if few_network is None
            else Features(
                self.embed(few_network, side, self.run.train),
                self.train_labels,
                self.embed(few_network, side, self.run.eval),
                self.eval_labels,
            )
        )
        options = {"regularisation": self.settings.regularisation, "folds": self.settings.folds, "seed": self.settings.seed}
        probe = fit_probe(features.train, self.train_labels, **options)
        right = probe.logits(features.eval).argmax(axis=1) == self.eval_labels
        few = fit_probe(with_few.train[self.few], self.train_labels[self.few], **options)
        top1, (low, high) = float(np.mean(right)), evidence.share_interval([(int(right.sum()), len(right))])
        row = Row(
            name, features.train.shape[1], top1, low, high,
            knn_top1=knn_accuracy(features.train, self.train_labels, self.settings.neighbours, (features.eval, self.eval_labels)),
            few_labels_top1=few.accuracy(with_few.eval, self.eval_labels), classifier_top1=None, gain=None, gain_low=None, gain_high=None,
            training_seconds=training_seconds, embedding_seconds=seconds)  # fmt: skip
        self.on_progress(name, 1, 1, 0.0)
        return _Measured(row, right)


def _against(one: _Measured, ours: _Measured) -> Row:
    """The row with SimSiam's gain over it."""
    pairs = [evidence.Pairs(int(np.sum(ours.right & ~one.right)), int(np.sum(one.right & ~ours.right)), int(np.sum(ours.right & one.right)),
                            len(ours.right))]  # fmt: skip
    low, high = evidence.interval(pairs)
    return dataclasses.replace(one.row, gain=evidence.difference(pairs), gain_low=low, gain_high=high)
