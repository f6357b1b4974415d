"""What a shell offers for an argument, beyond the names that the parser knows: presets, settings, sources, registered versions.

Attached to arguments as their `completer`, which argcomplete calls with what was typed so far and the arguments before it.
Cheap, as each press of the key starts a process; whatever cannot be read offers nothing.
"""

import argparse
import contextlib
import glob
import os
import sqlite3
import urllib.parse

import pipeline_config
from pipeline import settings
from pipeline.layout import Layout


def presets(**_) -> list[str]:
    return list(pipeline_config.PRESETS)


def settings_keys(**_) -> list[str]:
    """Every key as `KEY=`; argcomplete puts no space after an equals sign."""
    return [f"{key}=" for key in settings.field_types()]


def sources(prefix: str, **_) -> list[str]:
    """The two kinds of source that are words, and folders."""
    folders = [f"{name}/" for name in glob.glob(f"{glob.escape(prefix)}*") if os.path.isdir(name)]
    return ["synthetic", "tfds:tf_flowers", "tfds:oxford_flowers102", *folders]


def versions(parsed_args: argparse.Namespace, **_) -> list[str]:
    """Numbers and aliases in the registry below --root, read from its database without the libraries of the registry."""
    database = Layout.at(parsed_args.root).registry / "mlflow.db"
    name = getattr(parsed_args, "name", None) or pipeline_config.Registry().name
    with contextlib.suppress(sqlite3.Error), contextlib.closing(
        sqlite3.connect(f"file:{urllib.parse.quote(str(database))}?mode=ro", uri=True)
    ) as connection:
        return [
            str(value)
            for query in ("SELECT version FROM model_versions"
                          " WHERE name = ? AND current_stage <> 'Deleted_Internal' ORDER BY version",
                          "SELECT alias FROM registered_model_aliases WHERE name = ? ORDER BY alias")
            for value, in connection.execute(query, (name,))
        ]  # fmt: skip
    return []
