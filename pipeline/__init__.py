"""The pipeline: the DAG, its runners, and what a run records."""

# The release; pyproject.toml takes it from here.
__version__ = "0.1.0"
