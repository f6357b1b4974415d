"""The registry of backbones. A version is a backbone with the probe that proved it, and its model card.

`opening` finds the backend of a place; `backend` is the interface of backends. `mlflow_backend` is the one for a local disk,
`vertex_backend` the one on Google Cloud. All else works on any backend: `reading` finds and verifies versions, `publishing` adds
them, `lifecycle` promotes, rolls back and prunes, `champions` keeps the history of champions and moves the alias, `files` copies
and compares. `mlflow_model` makes a version a model of MLflow, which runs `mlflow_loader`; `mlflow_runs` keeps runs in MLflow.
`trust` says whether a version may be used, by its files and its signature; `signatures` and `keys` make and read them.
"""
