"""Artifact types of our own; the standard ones of TFX serve for everything else."""

from tfx.types import artifact


class IngestReport(artifact.Artifact):
    """What ExampleGen read, split and quarantined: one JSON file, `contracts.model_files.INGEST_REPORT`."""

    # MODULE.CLASS, with one dot: a container of Vertex AI imports the class by this name (see components/__init__.py).
    TYPE_NAME = "components.IngestReport"
