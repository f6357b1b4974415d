"""The TFX component: the last node of the DAG, which writes the run's page from what the other nodes left."""

import json
import logging
import posixpath

import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.artifacts import HtmlPage, IngestReport
from components.run_report import artifacts
from components.run_report.page import render
from contracts.model_files import RUN_PAGE

logger = logging.getLogger(__name__)


@component
def RunReport(
    examples: InputArtifact[standard_artifacts.Examples],
    ingest_report: InputArtifact[IngestReport],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    pretrain_run: InputArtifact[standard_artifacts.ModelRun],
    linear_eval_run: InputArtifact[standard_artifacts.ModelRun],
    probe: InputArtifact[standard_artifacts.Model],
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    pushed_model: InputArtifact[standard_artifacts.PushedModel],
    page: OutputArtifact[HtmlPage],
    configuration: Parameter[str],
    code_version: Parameter[str],
):
    """Writes the page, a single file, and leaves its URI in `page`.

    Args:
      configuration: a pipeline_config.Config as JSON; the page shows what differs from the preset.
      code_version: of components and trainer, for the page and so that the cache follows the code.
    """
    inputs = {
        "examples": examples, "ingest_report": ingest_report, "anomalies": anomalies, "pretrain_run": pretrain_run,
        "linear_eval_run": linear_eval_run, "probe": probe, "evaluation": evaluation, "pushed_model": pushed_model,
    }  # fmt: skip
    found = artifacts.read({name: one.uri for name, one in inputs.items()}, json.loads(configuration), code_version)
    text = render(found)
    # The file itself, as Vertex AI opens what an HTML artifact's URI names.
    page.uri = posixpath.join(page.uri, RUN_PAGE)
    tf.io.gfile.makedirs(posixpath.dirname(page.uri))
    with tf.io.gfile.GFile(page.uri, "w") as file:
        file.write(text)
    logger.info("The page of the run takes %.1f MB.", len(text.encode()) / 1e6)
