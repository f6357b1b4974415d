"""Artifact types of our own; the standard ones of TFX serve for everything else."""

from tfx.types import artifact


class IngestReport(artifact.Artifact):
    """What ExampleGen read, split and quarantined: one JSON file, `contracts.model_files.INGEST_REPORT`."""

    # MODULE.CLASS, with one dot: a container of Vertex AI imports the class by this name (see components/__init__.py).
    TYPE_NAME = "components.IngestReport"


class HtmlPage(artifact.Artifact):
    """A page: its URI is the file."""

    # The type that Vertex AI shows as a page. Its containers import other types by name; for this one see report/entry_point.py.
    TYPE_NAME = "system.HTML"
