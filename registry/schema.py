"""Whether this environment's MLflow can use a database, found before MLflow opens it.

MLflow by itself migrates some older databases unasked, and answers the others with a traceback.
"""

import contextlib
import functools
import importlib.util
import os
import pathlib
import shlex
import shutil
import sqlite3
import sys
import tempfile
import urllib.parse

from registry.backend import RegistryError


def uri(database: str) -> str:
    """The address of an SQLite file as MLflow takes it; `?`, `#` and `%` in the path are quoted."""
    return "sqlite:///" + urllib.parse.quote(os.path.abspath(database))


def usable(database: str) -> str:
    """The path of `database`, an SQLite file with the schema of this environment's MLflow. Where it lies in a folder that may only be
    read, and SQLite would have to repair it first, as after a crash, it is that of a repaired copy. Only reads.

    Raises:
      RegistryError: its schema is older or newer, it is no database of MLflow, or this user may not read it.
    """
    if not os.access(database, os.R_OK):
        raise RegistryError(f"the registry {database} may not be read by this user; ask its owner for that permission")
    try:
        found = _schema_of(database)
    except sqlite3.OperationalError as error:
        if os.access(os.path.dirname(os.path.abspath(database)), os.W_OK):
            raise _unreadable(database, error) from error
        try:
            found = _schema_of(copy := _repaired_copy(database, os.stat(database).st_mtime_ns))
        except sqlite3.DatabaseError as broken:
            raise _unreadable(database, broken) from broken
        _require_current(database, found)
        return copy
    except sqlite3.DatabaseError as error:
        raise _unreadable(database, error) from error
    _require_current(database, found)
    return database


def _schema_of(database: str) -> list[str]:
    # As a URI, because an ordinary connection would make a file that is missing.
    address = pathlib.Path(os.path.abspath(database)).as_uri() + "?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as opened:
        return [revision for (revision,) in opened.execute("SELECT version_num FROM alembic_version")]


def _unreadable(database: str, error: Exception) -> RegistryError:
    return RegistryError(f"the registry {database} cannot be read ({error}); restore its folder from a back-up (docs/operations.md)")


# A reader asks several times, and SQLite repairs the copy when it is first opened.
@functools.lru_cache(maxsize=1)
def _copies() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="registry_")  # removed when the process ends


@functools.lru_cache(maxsize=8)
def _repaired_copy(database: str, changed: int) -> str:
    """A copy with the journals beside the file, from which SQLite completes or takes back what a writer had begun.

    changed: when the file was changed last, in nanoseconds, as another moment needs another copy.
    """
    folder = tempfile.mkdtemp(dir=_copies().name)
    for suffix in ("", "-journal", "-wal"):
        if os.path.exists(database + suffix):
            shutil.copyfile(database + suffix, os.path.join(folder, os.path.basename(database) + suffix))
    copy = os.path.join(folder, os.path.basename(database))
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(copy)) as opened:
        opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return copy


def _require_current(database: str, found: list[str]) -> None:
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
