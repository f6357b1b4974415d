"""The TFX component: reads the train statistics, writes `schema.pbtxt` as the stock SchemaGen does."""

import logging
import posixpath

import tensorflow_data_validation as tfdv
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils

from components.flowers_schema_gen.schema import curated_schema
from contracts import examples

logger = logging.getLogger(__name__)

SCHEMA_FILE = "schema.pbtxt"
STATISTICS_FILE = "FeatureStats.pb"


@component
def FlowersSchemaGen(
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    schema: OutputArtifact[standard_artifacts.Schema],
    code_version: Parameter[str],
):
    """Writes the curated schema for the statistics of StatisticsGen; `code_version` only makes the cache follow the code."""
    del code_version
    train = artifact_utils.get_split_uri([statistics], examples.SPLITS[0])
    found = tfdv.load_stats_binary(posixpath.join(train, STATISTICS_FILE)).datasets[0]
    io_utils.write_pbtxt_file(posixpath.join(schema.uri, SCHEMA_FILE), curated_schema(found))
    logger.info("The schema demands %s in every example.", ", ".join(sorted(examples.BYTES_FEATURES + examples.INT_FEATURES)))
