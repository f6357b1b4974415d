"""The TFX component: the last node of the DAG, which writes the run's page from the outputs of the other nodes."""

import json
import logging
import posixpath

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.artifacts import HtmlPage, IngestReport
from components.report import artifacts
from components.report.page import render
from contracts import files
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
    preset: Parameter[str],
    code: Parameter[str],
    code_version: Parameter[str],
):
    """Writes the page, a single file, and leaves its URI in `page`.

    Args:
      configuration: pipeline_config.identity of a Config as JSON.
      preset: the same of its preset; the page shows what differs from it.
      code: the versions of the code that made what the page shows, in one line.
      code_version: hashes of the files that this component runs; the cache follows them.
    """
    del code_version
    inputs = {
        "examples": examples, "ingest_report": ingest_report, "anomalies": anomalies, "pretrain_run": pretrain_run,
        "linear_eval_run": linear_eval_run, "probe": probe, "evaluation": evaluation, "pushed_model": pushed_model,
    }  # fmt: skip
    uris = {name: one.uri for name, one in inputs.items()}
    found = artifacts.read(uris, json.loads(configuration), json.loads(preset), code)
    text = render(found)
    # The file itself, as Vertex AI opens the URI of an HTML artifact.
    page.uri = posixpath.join(page.uri, RUN_PAGE)
    files.write_text(page.uri, text)
    logger.info("The page of the run takes %.1f MB.", len(text.encode()) / 1e6)
