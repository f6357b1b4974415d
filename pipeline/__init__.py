"""The pipeline: the DAG, its runners, and what a run records.

    from pipeline import run

runs all of it: `pipeline.in_python.run`.
"""

# The release; pyproject.toml takes it from here.
__version__ = "0.1.0"

__all__ = ["Result", "RunFailed", "run"]


def __getattr__(name: str):
    """What __all__ names, imported when it is asked for (PEP 562): everything else in this package imports this file first."""
    if name in __all__:
        from pipeline import in_python

        return getattr(in_python, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
