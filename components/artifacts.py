"""Artifact types of our own; the standard ones of TFX serve for everything else."""

from tfx.types import artifact


class IngestReport(artifact.Artifact):
    """What ExampleGen read, split and quarantined: one JSON file, `contracts.model_files.INGEST_REPORT`."""

    # KubeflowV2DagRunner accepts a type of our own only under a qualified name.
    TYPE_NAME = "flowers.IngestReport"
