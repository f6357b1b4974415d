"""The TFX component SchemaGen: a schema that states what an example must be, instead of inferring it from the data.

Only the classes are read from the train statistics. ExampleValidator compares both splits with the schema, so that a class that
only eval has, a missing or repeated value, an unknown feature, or bytes that are not an image are anomalies.
"""

import logging
import posixpath

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils

from components.errors import DataRefused
from contracts import examples

# Share of images that must be in a format TensorFlow decodes. All of them: ExampleGen writes only JPEG.
MIN_IMAGE_FRACTION = 1.0


def curated_schema(train: statistics_pb2.DatasetFeatureStatistics) -> schema_pb2.Schema:
    """The schema of `contracts.examples`, with class names and label bounds as in the train statistics.

    Every feature is present in every example with exactly one value. `class_name` is one of train's; `label` lies between
    train's smallest and largest; `image` is an image.

    Raises:
      DataRefused: the train split is empty.
      ValueError: the statistics do not list every class name (`statistics_options` was not used).
    """
    if not train.num_examples:
        raise DataRefused("the train split has no photograph")
    found = {feature.path.step[0] or feature.name: feature for feature in train.features}
    schema = schema_pb2.Schema()
    for name in examples.BYTES_FEATURES:
        _add_required(schema, name, schema_pb2.BYTES)
    for name in examples.INT_FEATURES:
        _add_required(schema, name, schema_pb2.INT)
    by_name = {feature.name: feature for feature in schema.feature}

    by_name[examples.IMAGE].image_domain.minimum_supported_image_fraction = MIN_IMAGE_FRACTION
    by_name[examples.CLASS_NAME].string_domain.name = examples.CLASS_NAME
    by_name[examples.CLASS_NAME].string_domain.value.extend(_values(found[examples.CLASS_NAME].string_stats))
    labels = found[examples.LABEL].num_stats
    by_name[examples.LABEL].int_domain.min = int(labels.min)
    by_name[examples.LABEL].int_domain.max = int(labels.max)
    return schema


def _add_required(schema: schema_pb2.Schema, name: str, kind: int) -> None:
    feature = schema.feature.add(name=name, type=kind)
    feature.presence.min_fraction = 1.0
    feature.presence.min_count = 1
    feature.shape.dim.add(size=1)  # exactly one value, and never none


def _values(statistics: statistics_pb2.StringStatistics) -> list[str]:
    values = sorted(bucket.label for bucket in statistics.rank_histogram.buckets)
    if len(values) != statistics.unique:
        raise ValueError(
            f"the train statistics must list all {statistics.unique} class names, got {len(values)}; give StatisticsGen "
            "statistics_options()"
        )
    return values


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


# Distinct values of a string feature that the statistics keep: the domain of class names is read from them.
MAX_CLASSES = 10_000


def statistics_options() -> tfdv.StatsOptions:
    """Statistics with image formats (semantic domain statistics) and a count of every class name. The ingest report has sizes."""
    return tfdv.StatsOptions(enable_semantic_domain_stats=True, num_rank_histogram_buckets=MAX_CLASSES)
