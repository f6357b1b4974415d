"""The TFX component between the data and the trainers: it succeeds only where the data may be used."""

import logging
import posixpath

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import IngestReport
from components.data_gate.verdict import refusals
from components.errors import DataRefused
from components.flowers_example_gen import report as reports
from contracts.model_files import INGEST_REPORT

logger = logging.getLogger(__name__)

ANOMALIES_FILE = "SchemaDiff.pb"


@component
def DataGate(
    ingest_report: InputArtifact[IngestReport],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    accepted: OutputArtifact[standard_artifacts.String],
    max_bad_fraction: Parameter[float],
    code_version: Parameter[str],
):
    """Raises DataRefused, with every reason in words, or writes what it accepted.

    `accepted` exists so that TFX can cache this node; `code_version` makes the cache follow the code. The trainers run after
    this node without reading it (`trainer.add_upstream_node(data_gate)`).
    """
    del code_version
    report = reports.read(posixpath.join(ingest_report.uri, INGEST_REPORT))
    found = {
        split: _read(posixpath.join(artifact_utils.get_split_uri([anomalies], split), ANOMALIES_FILE))
        for split in artifact_utils.decode_split_names(anomalies.split_names)
    }
    if reasons := refusals(report, found, max_bad_fraction):
        raise DataRefused(f"The data of {report['source']} was refused. " + "; ".join(reasons) + ".")
    accepted.write(reports.in_words(report))
    logger.info("The data is accepted: no anomalies, %.2f %% of the files quarantined.", 100 * report["bad_fraction"])


def _read(path: str) -> anomalies_pb2.Anomalies:
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())
