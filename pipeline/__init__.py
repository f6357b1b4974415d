"""The pipeline: the DAG, its local runner, what a run records, and the command line."""

# The release; pyproject.toml takes it from here.
__version__ = "0.1.0"

# The name under which every runner knows the pipeline; its caches and, on Vertex AI, its jobs belong to it.
PIPELINE_NAME = "flowers"
