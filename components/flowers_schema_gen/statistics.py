"""Options for StatisticsGen, called where the DAG is built."""

import tensorflow_data_validation as tfdv

# Distinct values of a string feature that the statistics keep: the domain of class names is read from them.
MAX_CLASSES = 10_000


def statistics_options() -> tfdv.StatsOptions:
    """Statistics with image formats (semantic domain statistics) and every class name counted.

    Sizes of images are in the ingest report.
    """
    return tfdv.StatsOptions(enable_semantic_domain_stats=True, num_rank_histogram_buckets=MAX_CLASSES)
