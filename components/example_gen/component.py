"""The TFX component, a thin adapter from a node of the DAG to `source` and `records`. Give it the node id ExampleGen."""

import json
import logging
import posixpath

import apache_beam as beam
from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

import pipeline_config
from components.artifacts import IngestReport
from components.example_gen import records, report
from components.example_gen.source import inspect, open_source
from contracts import examples as contract
from contracts.model_files import INGEST_REPORT

logger = logging.getLogger(__name__)


@component(use_beam=True)
def FlowersExampleGen(
    examples: OutputArtifact[standard_artifacts.Examples],
    ingest_report: OutputArtifact[IngestReport],
    data: Parameter[str],
    datasets_dir: Parameter[str],
    fingerprint: Parameter[str],
    code_version: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
):
    """Turns the source into TFRecords of `contracts.examples`, splits train and eval, and a report.

    Args:
      data: `pipeline_config.ingest(config.data)` as JSON.
      datasets_dir: where synthetic flowers are kept.
      fingerprint: `source.inspect(...).fingerprint`; as a parameter it makes TFX's cache follow the source's content. "" if the
        source was not inspected when the DAG was built: it is inspected here, and the node must not be cached.
      code_version: for the same reason.

    Raises:
      SourceNotFound, DataRefused: as `source.inspect`, if the fingerprint is not given.
    """
    settings = pipeline_config.Data(**json.loads(data))
    fingerprint = fingerprint or inspect(settings, datasets_dir).fingerprint
    source = open_source(settings, datasets_dir)
    report_path = posixpath.join(ingest_report.uri, INGEST_REPORT)
    records.ingest(
        beam_pipeline, source, settings.max_side, settings.max_pixels, settings.eval_fraction, settings.min_eval, fingerprint,
        examples.uri, report_path, settings.min_side, settings.near_duplicate_distance, settings.group_by,
    )  # fmt: skip
    with fileio.open(posixpath.join(examples.uri, contract.ORIGIN_FILE), "w") as file:
        file.write(contract.origin(fingerprint, json.loads(data), code_version))
    examples.split_names = artifact_utils.encode_split_names(list(contract.SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    logger.info("Ingested %s", report.summary(report.read(report_path)))
