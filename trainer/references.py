"""The registered versions that a candidate is compared with: which they are, whether they are undamaged, and a probe on each backbone.

What is registered is a backbone, so backbones are compared: each gets the candidate's probe, from today's train labels, by the same
settings and in the same pass over the photographs.
"""

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence

import tensorflow as tf

from contracts import files, model_files
from contracts.content_hash import content_hash
from pipeline_config import LinearEval
from trainer import label_curve, pretrained_on
from trainer.evaluation import Features
from trainer.probe import Probe, fit_probe

# Their names, everywhere, and how sentences begin with them.
CHAMPION, BEST = "champion", "best"
TITLES = {CHAMPION: "champion version", BEST: "the best version so far, version"}


class ReferenceUnusable(RuntimeError):
    """The files of a version are missing, or not as registered. Without it any backbone that beats the random-init baseline would
    pass, so this is an error and not treated as a first run."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """A registered version.

    Attributes:
      version: its number.
      backbone, probe: its directories, local or remote.
      content_hash, probe_content_hash: what `contracts.content_hash` gave for them when they were registered; "": another tool
        registered the version, and they are not known.
    """

    version: str
    backbone: str
    probe: str
    content_hash: str
    probe_content_hash: str


def named(champion: Mapping) -> dict[str, Reference]:
    """By CHAMPION and BEST, what registry.comparison.champion_for_gate found; empty if that is empty.

    Args:
      champion: the fields of Reference, and the same in `best` where that is another version; anything else is passed over.
    """
    fields = [field.name for field in dataclasses.fields(Reference)]
    found = {CHAMPION: champion, BEST: champion.get("best")} if champion else {}
    return {name: Reference(**{field: one[field] for field in fields}) for name, one in found.items() if one}


def require_undamaged(references: Mapping[str, Reference]) -> None:
    """Compares the files of each version with what was registered.

    Raises:
      ReferenceUnusable: with the version and what is wrong with it.
    """
    for name, one in references.items():
        for directory, registered in ((one.probe, one.probe_content_hash), (one.backbone, one.content_hash)):
            if problem := _problem(directory, registered):
                raise ReferenceUnusable(
                    f"{TITLES[name]} {one.version} cannot be evaluated: {problem}. `flowers registry verify` lists what differs; "
                    "restore the files from a copy and run again, or give another --root to start a registry without a champion"
                )


def _problem(directory: str, registered: str) -> str:
    if not registered:
        return f"the registry has no hash of {directory}, as it has of all that this pipeline registers"
    try:
        found = content_hash(directory)
    except (FileNotFoundError, tf.errors.NotFoundError):
        return f"there are no files at {directory}"
    return "" if found == registered else f"{directory} has content hash {found}, registered was {registered}"


def fit(features: Features, settings: LinearEval) -> tuple[Probe, list[dict]]:
    """The candidate's kind of probe on the features of a reference, and its accuracy over labels: for each of
    settings.label_fractions a `label_curve.spread`."""
    probe = fit_probe(
        features.train, features.train_labels, regularisation=settings.regularisation, folds=settings.folds, seed=settings.seed
    )
    with_all = probe.accuracy(features.eval, features.eval_labels)
    reached = label_curve.accuracies(
        features.train, features.train_labels, features.eval, features.eval_labels, settings, with_all=with_all
    )
    return probe, [label_curve.spread(of_fraction) for of_fraction in reached]


def write_record(references: Mapping[str, Reference], probes: Mapping[str, str], eval_patterns: Sequence[str], directory: str) -> None:
    """Writes model_files.REFERENCES to LinearEval's model_run.

    Args:
      probes: by name, the directory of its probe below `directory`; a name that is missing shares the candidate's.
      eval_patterns: gzip TFRecords of contracts.examples.
    """
    held_out = pretrained_on.hashes(eval_patterns) if references else None
    record = {
        name: {
            "version": one.version,
            "content_hash": one.content_hash,
            "probe": probes.get(name, ""),
            "pretrained_on": pretrained_on.count(one.backbone, held_out),
        }
        for name, one in references.items()
    }
    files.write_json(posixpath.join(directory, model_files.REFERENCES), record)
