"""The pipeline's own TFX components, one folder each, and what they share: artifact types and errors."""


def __getattr__(name: str):
    """Answers `components.IngestReport`, the name by which Vertex AI's containers import our artifact type."""
    if name != "IngestReport":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from components.artifacts import IngestReport  # only now: it imports TFX, which the command line does not wait for

    return IngestReport
