"""The pipeline: the DAG, its local runner, what a run records, and the command line."""

# The release; pyproject.toml takes it from here.
__version__ = "0.1.0"
