"""The TFX component SchemaGen: a schema that states what an example must be, instead of inferring it from the data.

Only the classes are read from the train statistics. ExampleValidator compares every split with the schema, so that a class that
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


def curated_schema(train: statistics_pb2.DatasetFeatureStatistics, has_unlabelled: bool) -> schema_pb2.Schema:
    """The schema of `contracts.examples`, with class names and label bounds as in the train statistics.

    Every feature is present in every example with exactly one value. `class_name` is one of train's; `label` lies between
    train's smallest and largest; `image` is an image.

    Args:
      train: its statistics.
      has_unlabelled: whether there are unlabelled photographs, whose class is "" and whose label is NO_LABEL. One schema holds for
        all splits, so it cannot say that such an example must not be in train or eval: their readers refuse it.

    Raises:
      DataRefused: there is no photograph to learn from.
      ValueError: the statistics do not list every class name (`statistics_options` was not used).
    """
    if not train.num_examples and not has_unlabelled:
        raise DataRefused("the train split has no photograph")
    schema = schema_pb2.Schema()
    for name in examples.BYTES_FEATURES:
        _add_required(schema, name, schema_pb2.BYTES)
    for name in examples.INT_FEATURES:
        _add_required(schema, name, schema_pb2.INT)
    by_name = {feature.name: feature for feature in schema.feature}

    by_name[examples.IMAGE].image_domain.minimum_supported_image_fraction = MIN_IMAGE_FRACTION
    classes, labels = _classes(train)
    by_name[examples.CLASS_NAME].string_domain.name = examples.CLASS_NAME
    by_name[examples.CLASS_NAME].string_domain.value.extend([*([""] if has_unlabelled else []), *classes])
    allowed = [*([examples.NO_LABEL] if has_unlabelled else []), *labels]
    by_name[examples.LABEL].int_domain.min = min(allowed)
    by_name[examples.LABEL].int_domain.max = max(allowed)
    return schema


def _classes(train: statistics_pb2.DatasetFeatureStatistics) -> tuple[list[str], list[int]]:
    """The class names of the train split, and its smallest and largest label; nothing of both if it is empty."""
    if not train.num_examples:
        return [], []
    found = {feature.path.step[0] or feature.name: feature for feature in train.features}
    labels = found[examples.LABEL].num_stats
    return _values(found[examples.CLASS_NAME].string_stats), [int(labels.min), int(labels.max)]


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
    train, unlabelled = (_read(statistics, split) for split in (examples.TRAIN, examples.UNLABELLED))
    io_utils.write_pbtxt_file(posixpath.join(schema.uri, SCHEMA_FILE), curated_schema(train, unlabelled.num_examples > 0))
    logger.info("The schema demands %s in every example.", ", ".join(sorted(examples.BYTES_FEATURES + examples.INT_FEATURES)))


def _read(statistics: standard_artifacts.ExampleStatistics, split: str) -> statistics_pb2.DatasetFeatureStatistics:
    path = posixpath.join(artifact_utils.get_split_uri([statistics], split), STATISTICS_FILE)
    return tfdv.load_stats_binary(path).datasets[0]


# Distinct values of a string feature that the statistics keep: the domain of class names is read from them.
MAX_CLASSES = 10_000


def statistics_options() -> tfdv.StatsOptions:
    """Statistics with image formats (semantic domain statistics) and a count of every class name. The ingest report has sizes.

    Of hashes, paths and the bytes of images only presence and number are counted, not how often each occurs: all are different, and
    counting would keep them all. Sketches count the class names, exactly up to MAX_CLASSES.
    """
    counted = schema_pb2.Schema()
    for name in examples.BYTES_FEATURES:
        feature = counted.feature.add(name=name, type=schema_pb2.BYTES)
        if name == examples.IMAGE:
            feature.image_domain.SetInParent()
        else:
            categorical = schema_pb2.StringDomain.Categorical
            feature.string_domain.is_categorical = (
                categorical.CATEGORICAL_YES if name == examples.CLASS_NAME else categorical.CATEGORICAL_NO)  # fmt: skip
    return tfdv.StatsOptions(
        schema=counted, use_sketch_based_topk_uniques=True, enable_semantic_domain_stats=True,
        num_rank_histogram_buckets=MAX_CLASSES)  # fmt: skip
