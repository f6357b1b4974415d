"""Opens MLflow's model registry on SQLite, and the lock that writers hold.

Called by `mlflow_backend`. MLflow is imported on first use (it takes seconds), never with this module, and its
telemetry stays off.
"""

import contextlib
import fcntl
import logging
import os
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.registry.version import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

DATABASE = "mlflow.db"
LOCK = "lock"


def registry_path(directory: str) -> str:
    """`directory` (DIR/registry) made absolute.

    Raises:
      RegistryError: it is remote.
    """
    if "://" in directory:
        raise RegistryError(
            f"a registry cannot be kept at {directory}: SQLite and its lock need a disk of this machine; "
            "the files of a version could be remote, the registry's database cannot"
        )
    return os.path.abspath(directory)


def exists(directory: str) -> bool:
    """Whether anything was ever registered below `directory`."""
    return os.path.exists(os.path.join(registry_path(directory), DATABASE))


def uri(database: str) -> str:
    """The address of an SQLite file as MLflow takes it; `?`, `#` and `%` in the path are quoted."""
    return "sqlite:///" + urllib.parse.quote(os.path.abspath(database))


def client(directory: str) -> "MlflowClient":
    """A client of the existing registry at `directory`; no global state of MLflow is read or changed.

    Raises:
      FileNotFoundError: there is no registry. (MLflow would retry for minutes, or make an empty one.)
    """
    database = os.path.join(registry_path(directory), DATABASE)
    if not os.path.exists(database):
        raise FileNotFoundError(f"no registry: {database} is missing; `flowers run` makes it with the first version")
    return _client(database)


def create(directory: str) -> None:
    """Makes an empty registry at `directory` unless there is one. Call it with the lock held.

    MLflow builds its schema in dozens of migrations; a crash in between would leave a database that it refuses. So they run on
    a file aside, which becomes the registry in one rename.
    """
    database = os.path.join(registry_path(directory), DATABASE)
    if os.path.exists(database):
        return
    unfinished = f"{database}.{os.getpid()}.unfinished"
    for leftover in os.listdir(registry_path(directory)):
        if leftover.startswith(DATABASE) and ".unfinished" in leftover:
            os.remove(os.path.join(registry_path(directory), leftover))
    _prepare_import()
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri(unfinished)).engine.dispose()
    os.replace(unfinished, database)


@contextlib.contextmanager
def lock(directory: str) -> Iterator[None]:
    """Holds the registry's lock: one writer at a time among the processes of this machine. A dead process holds nothing."""
    os.makedirs(registry_path(directory), exist_ok=True)
    with open(os.path.join(registry_path(directory), LOCK), "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("Waiting for another run that is writing to the registry at %s.", directory)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _client(database: str) -> "MlflowClient":
    _prepare_import()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri(database), registry_uri=uri(database))


def _prepare_import() -> None:
    # Both are read when mlflow is imported: usage reports are not ours to send, and its own stderr handler would break into
    # the run's display.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
