"""The TFX component DataGate between the data and the trainers: it succeeds only if the data may be used.

`refusals` lists the reasons to refuse the data, from the ingest report and the anomalies.
"""

import logging
import posixpath
from collections.abc import Iterator, Mapping

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import IngestReport
from components.errors import DataRefused
from components.example_gen import report as reports
from contracts.examples import EVAL, LABELLED_SPLITS, TRAIN, UNLABELLED
from contracts.model_files import INGEST_REPORT
from contracts.text import percent

NAMED_FILES = 5  # paths that a refusal names; the report has them all


def refusals(report: dict, anomalies: Mapping[str, anomalies_pb2.Anomalies], max_bad_fraction: float, batch_size: int) -> list[str]:
    """Why the data cannot be used; empty if it can.

    Args:
      report, max_bad_fraction, batch_size: as in `refusals_of_ingest`.
      anomalies: what ExampleValidator found, by split.
    """
    return [
        *refusals_of_ingest(report, max_bad_fraction, batch_size),
        *(sentence for split in sorted(anomalies)
          for sentence in _anomalies(split, anomalies[split], may_be_empty=_may_be_empty(report, split))),
    ]  # fmt: skip


def refusals_of_ingest(report: dict, max_bad_fraction: float, batch_size: int) -> list[str]:
    """What of `refusals` the ingest report alone tells.

    Args:
      report: the ingest report, see `components.example_gen.report.build`.
      max_bad_fraction: `data.max_bad_fraction`, share of files that may be quarantined, in [0, 1].
      batch_size: `pretrain.batch_size`, which may be no larger than what there is to learn from.
    """
    return [*_too_many_quarantined(report, max_bad_fraction), *_classes_on_one_side(report), *_too_few_for_a_batch(report, batch_size)]


def _too_many_quarantined(report: dict, max_bad_fraction: float) -> Iterator[str]:
    if report["bad_fraction"] <= max_bad_fraction:
        return
    quarantined = report["quarantined"]
    files = report["images"] + quarantined["total"]
    details = {file["reason"]: file["detail"] for file in reversed(quarantined["files"])}
    reasons = ", ".join(
        f"{count} {reason}" + (f" (for example {details[reason]})" if details.get(reason) else "")
        for reason, count in quarantined["by_reason"].items())  # fmt: skip
    named = ", ".join(f"{file['path']!r}" for file in quarantined["files"][:NAMED_FILES])
    more = quarantined["total"] - NAMED_FILES
    and_more = f" and {more} more" if more > 0 else ""
    yield (
        f"{quarantined['total']} of {files} files ({percent(report['bad_fraction'], 2)}) cannot be used, "
        f"more than data.max_bad_fraction={max_bad_fraction:g} allows: {reasons}; {named}{and_more}. "
        "Mend or remove them, or name what is no photograph in data.exclude"
    )


def _classes_on_one_side(report: dict) -> Iterator[str]:
    for split in LABELLED_SPLITS:
        for name, count in report["splits"][split]["by_class"].items():
            if not count:
                yield f"class {name!r} has no photograph in {split} ({report['split_rule']}){_why(report, name)}"


def _why(report: dict, name: str) -> str:
    """If most of a class is one group, that; else nothing."""
    found = report["near_duplicates"]
    large = next((one for one in found["large"] if one["class"] == name), None)
    if large is None:
        return ""
    named = ", ".join(map(repr, large["files"]))
    if found["group_by"]:
        return (f": {large['images']:,} of its {large['of']:,} photographs are one group of data.group_by={found['group_by']!r} "
                f"(such as {named}); group by a part of the path of which each class has several")  # fmt: skip
    return (f": {large['images']:,} of its {large['of']:,} photographs look alike, one like the next, and count as one picture "
            f"(such as {named}); set data.group_by, for example to folder, so that the path says which belong together, or "
            "data.near_duplicate_distance lower, down to 0, at which only identical files are the same")  # fmt: skip


def _too_few_for_a_batch(report: dict, batch_size: int) -> Iterator[str]:
    """Known only now: what is left for training depends on which photographs are usable, and which show the same picture."""
    learned = sum(report["splits"][split]["images"] for split in (TRAIN, UNLABELLED))
    if learned < batch_size:
        yield (
            f"pretrain.batch_size is {batch_size}, but only {learned:,} photographs are to learn from, with "
            f"{report['splits'][EVAL]['images']:,} held out; add photographs, or lower it, such as --set "
            f"pretrain.batch_size={max(2, learned // 4)}"
        )


def _may_be_empty(report: dict, split: str) -> bool:
    """Whether the source has no photograph for a split: no unlabelled one, or none with a label."""
    return not report["splits"][split]["images"] if split == UNLABELLED else not report["classes"]


def _anomalies(split: str, found: anomalies_pb2.Anomalies, may_be_empty: bool) -> Iterator[str]:
    if found.data_missing and may_be_empty:
        return
    for feature, anomaly in sorted(found.anomaly_info.items()):
        yield f"{split}, feature {feature!r}: {_sentence(anomaly)}"
    if found.HasField("dataset_anomaly_info"):
        yield f"{split}: {_sentence(found.dataset_anomaly_info)}"
    if found.data_missing:
        yield f"{split}: the split holds no examples"


def _sentence(anomaly: anomalies_pb2.AnomalyInfo) -> str:
    words = f"{anomaly.short_description}: {anomaly.description}" if anomaly.short_description else anomaly.description
    return words.strip().rstrip(".")


logger = logging.getLogger(__name__)

ANOMALIES_FILE = "SchemaDiff.pb"


@component
def DataGate(
    ingest_report: InputArtifact[IngestReport],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    accepted: OutputArtifact[standard_artifacts.String],
    max_bad_fraction: Parameter[float],
    batch_size: Parameter[int],
    code_version: Parameter[str],
):
    """Raises DataRefused with every reason, or writes what it accepted.

    `accepted` exists so that TFX can cache this node; `code_version` makes the cache follow the code. The trainers run after
    this node without reading its output (`trainer.add_upstream_node(data_gate)`).
    """
    del code_version
    report = reports.read(posixpath.join(ingest_report.uri, INGEST_REPORT))
    found = {
        split: _read(posixpath.join(artifact_utils.get_split_uri([anomalies], split), ANOMALIES_FILE))
        for split in artifact_utils.decode_split_names(anomalies.split_names)
    }
    if reasons := refusals(report, found, max_bad_fraction, batch_size):
        raise DataRefused(f"The data of {report['source']} was refused. " + "; ".join(reasons) + ".")
    accepted.write(reports.summary(report))
    logger.info("The data is accepted: no anomalies, %s of the files quarantined.", percent(report["bad_fraction"], 2))


def _read(path: str) -> anomalies_pb2.Anomalies:
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())
