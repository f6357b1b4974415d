"""The registry of backbones on one machine: MLflow's model registry on SQLite, the files beside it.

A version is a backbone with the probe that proved it. `local` reads and verifies, `publishing` adds versions; below them `files`
keeps the copies and `store` opens MLflow.

    DIR/registry/mlflow.db                      names, versions, tags, the alias `champion`
    DIR/registry/versions/CONTENT_HASH/         backbone/, probe/ and, written last, manifest.json
    DIR/registry/lock                           held by whoever writes

Paths are stored relative to DIR/registry, so that DIR can be moved or restored elsewhere as a whole.
"""
