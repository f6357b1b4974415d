"""Whether this environment's MLflow can use a database, found before MLflow opens it.

MLflow by itself migrates some older databases unasked, and answers the others with a traceback.
"""

import contextlib
import functools
import importlib.util
import os
import pathlib
import shlex
import sqlite3
import sys
import urllib.parse

from registry.backend import RegistryError


def uri(database: str) -> str:
    """The address of an SQLite file as MLflow takes it; `?`, `#` and `%` in the path are quoted."""
    return "sqlite:///" + urllib.parse.quote(os.path.abspath(database))


def require_usable(database: str) -> None:
    """Returns if `database`, an SQLite file, has the schema of this environment's MLflow. Only reads.

    Raises:
      RegistryError: its schema is older or newer, or it is no database of MLflow.
    """
    try:
        # As a URI, because an ordinary connection would make a file that is missing.
        address = pathlib.Path(os.path.abspath(database)).as_uri() + "?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as opened:
            found = [revision for (revision,) in opened.execute("SELECT version_num FROM alembic_version")]
    except sqlite3.DatabaseError as error:
        raise RegistryError(
            f"the registry {database} cannot be read ({error}); restore its folder from a back-up (docs/operations.md)"
        ) from error
    known = _revisions()
    if tuple(found) == known[:1]:
        return
    name = ", ".join(map(str, found)) or "none"
    if not found or not set(found) <= set(known):
        raise RegistryError(
            f"the registry {database} has the schema {name}, which this MLflow does not know: a newer one wrote it; use the "
            "release that wrote it, or restore its folder from a back-up that was made before (docs/operations.md)"
        )
    command = shlex.join([sys.executable, "-m", "mlflow", "db", "upgrade", uri(database)])
    raise RegistryError(
        f"the registry {database} has the schema {name} of an older MLflow, this one needs {known[0]}; copy its folder as a "
        f"back-up, and then run: {command}"
    )


@functools.cache
def _revisions() -> tuple[str, ...]:
    """Alembic's identifiers of all schemas that this MLflow knows, the present one first. MLflow itself is not imported."""
    from alembic.script import ScriptDirectory

    package = os.path.dirname(importlib.util.find_spec("mlflow").origin)
    migrations = ScriptDirectory(os.path.join(package, "store", "db_migrations"))
    return tuple(migration.revision for migration in migrations.walk_revisions())
