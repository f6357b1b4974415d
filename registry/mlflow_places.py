"""Where MLflow's own client finds what DIR/registry keeps: MLflow stores absolute addresses, and DIR can be moved.

The registry itself reads only the last part of an address, so it does not depend on them; `relocate` writes anew those that a move
has made wrong. MLflow is not imported.
"""

import contextlib
import logging
import os
import pathlib
import re
import sqlite3

logger = logging.getLogger(__name__)

# Directories below DIR/registry.
VERSIONS = "versions"
RUN_ARTIFACTS = "mlflow-artifacts"

# An address of the artifacts of runs, of any DIR.
OF_RUNS = re.compile(rf"file:///.*/registry/{RUN_ARTIFACTS}(/.*)?")
# An address of a version's files, of any DIR; earlier releases stored it relative to DIR/registry.
OF_A_VERSION = re.compile(rf"(?:.*/)?{VERSIONS}/([0-9a-f]{{64}})/?")


def version_files(directory: str, content_hash: str) -> str:
    """The directory of the files of a version in the registry at `directory`."""
    return os.path.join(os.path.abspath(directory), VERSIONS, content_hash)


def version_address(directory: str, content_hash: str) -> str:
    """The same as an address, which MLflow's client resolves from any working directory."""
    return pathlib.Path(version_files(directory, content_hash)).as_uri()


def files_of(directory: str, address: str) -> str:
    """The directory that an address in the database stands for, wherever DIR was when it was stored."""
    found = OF_A_VERSION.fullmatch(address)
    return version_files(directory, found[1]) if found else os.path.join(os.path.abspath(directory), address)


def relocate(directory: str, database: str) -> None:
    """Makes the addresses in `database`, MLflow's SQLite file of the registry at `directory`, those of where DIR is now.

    One transaction; without a change nothing is written. A registry that cannot be written stays as it is, and a warning says so.
    """
    uri = pathlib.Path(os.path.abspath(database)).as_uri()
    try:
        with contextlib.closing(sqlite3.connect(f"{uri}?mode=ro", uri=True)) as opened:
            versions, runs = _stale_versions(opened, directory), _stale_runs(opened, directory)
        if versions or any(runs.values()):
            with contextlib.closing(sqlite3.connect(f"{uri}?mode=rw", uri=True)) as opened, opened:
                opened.executemany("UPDATE model_versions SET source = ?, storage_location = ? WHERE source = ?", versions)
                for (table, column), stale in runs.items():
                    opened.executemany(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", stale)
    except sqlite3.Error as error:
        logger.warning("MLflow's own client will not find the files of versions: %s has addresses of another place, and they cannot "
                       "be corrected (%s)", database, error)  # fmt: skip


def _stale_versions(opened: sqlite3.Connection, directory: str) -> list[tuple[str, str, str]]:
    """The address that each wrong one is to have, twice, and the wrong one."""
    wrong = []
    for source, storage in opened.execute("SELECT DISTINCT source, storage_location FROM model_versions"):
        found = OF_A_VERSION.fullmatch(source or "")
        if found and os.path.isdir(version_files(directory, found[1])):
            right = version_address(directory, found[1])
            if (source, storage) != (right, right):
                wrong.append((right, right, source))
    return wrong


def _stale_runs(opened: sqlite3.Connection, directory: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """By table and column, the address that each wrong one is to have, and the wrong one."""
    root = pathlib.Path(os.path.abspath(directory), RUN_ARTIFACTS)
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
        addresses = [address for (address,) in opened.execute(f"SELECT DISTINCT {column} FROM {table}")]
        right = {address: root.as_uri() + (match[1] or "") for address in addresses if (match := OF_RUNS.fullmatch(address or ""))}
        found[table, column] = [(new, old) for old, new in right.items() if new != old and root.is_dir()]
    return found
