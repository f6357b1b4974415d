"""The TFX component SourceInspector: finds the source's fingerprint, so that the cache of ExampleGen can follow it.

In the DAG only if the source was not inspected when the DAG was built, as on Vertex AI. The node is never cached; ExampleGen
takes the fingerprint as a parameter, and so runs if, and only if, the photographs changed.
"""

import json
import logging

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

import pipeline_config
from components.example_gen.source import inspect

logger = logging.getLogger(__name__)


@component
def SourceInspector(
    fingerprint: OutputArtifact[standard_artifacts.String],
    data: Parameter[str],
    datasets_dir: Parameter[str],
    code_version: Parameter[str],
):
    """Writes `source.inspect(...).fingerprint`; the parameters are those of FlowersExampleGen.

    Raises:
      SourceNotFound, DataRefused: as `source.inspect`.
    """
    del code_version
    settings = pipeline_config.Data(**json.loads(data))
    inspection = inspect(settings, datasets_dir)
    fingerprint.write(inspection.fingerprint)
    logger.info("Source %s has %d classes and the fingerprint %s", settings.source, len(inspection.classes), inspection.fingerprint)
