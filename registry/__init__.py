"""The registry of backbones. A version is a backbone with the probe that proved it, and its model card.

`opening` finds the backend of a place; `backend` says what a backend has to answer. `mlflow_backend` is the one for a machine's own
disk, `vertex_backend` the one on Google Cloud. All else works on any backend: `reading` finds and verifies versions, `publishing`
adds them, `lifecycle` promotes, rolls back and prunes, `champions` keeps the line of champions and moves the alias, `files` copies
and compares.
"""
