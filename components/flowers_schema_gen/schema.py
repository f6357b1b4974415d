"""Builds the curated schema: everything known beforehand is stated, only the classes are read from the train statistics.

Called by `component`. ExampleValidator holds both splits to it, so that a class that only eval has, a missing or repeated
value, a feature nobody knows, or bytes that are no image are anomalies.
"""

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.errors import DataRefused
from contracts import examples

# Share of the image bytes that must be in a format TensorFlow decodes. All of them: ExampleGen writes nothing but JPEG.
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
        raise DataRefused("the train split is empty: no photograph is left to learn from")
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
            f"the train statistics list {len(values)} of {statistics.unique} class names; give StatisticsGen statistics_options()"
        )
    return values
