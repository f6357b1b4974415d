"""The pipeline: the DAG, its local runner, what a run records, and the command line."""

# The release; pyproject.toml says the same, and a test compares them.
__version__ = "0.1.0"
