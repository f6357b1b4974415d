"""The backend for one machine: MLflow's model registry on SQLite, the files beside it.

    DIR/registry/mlflow.db                      names, versions, tags, the alias `champion`; runs (mlflow_runs)
    DIR/registry/versions/CONTENT_HASH/         backbone/, probe/, MODEL_CARD.md, MLmodel and its like; written last, manifest.json
    DIR/registry/lock                           held by the writer

DIR can be moved or restored elsewhere as a whole (`mlflow_places`). MLflow numbers the versions
of a name from 1 and keeps the row of a deleted one, so that no number comes twice. MLflow is imported on first use (it takes
seconds), never with this module, and its telemetry stays off.
"""

import contextlib
import datetime
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts import files
from registry import mlflow_places
from registry.backend import RUN_ID, RegistryError, Version
from registry.in_place import InPlace
from registry.mlflow_places import VERSIONS
from registry.schema import uri, usable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

DATABASE = "mlflow.db"
RUN_TAG = "flowers.run_id"  # of a run of MLflow: the run of the pipeline that it is
LOCK = "lock"
OFFERED = "versions.json"
# Seconds for which a server may say nothing, and how often a request is repeated; MLflow's own values wait for minutes. A server
# answers to a file of 100 MB when it has stored it, which takes one that stores in a bucket some seconds.
REQUESTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def registry_path(directory: str) -> str:
    """`directory` (DIR/registry) made absolute.

    Raises:
      RegistryError: it is remote.
    """
    if "://" in directory:
        raise RegistryError(f"a registry cannot be kept at {directory}: SQLite and its lock need a local disk; give a local folder")
    return os.path.abspath(directory)


def exists(directory: str) -> bool:
    """Whether anything was ever registered below `directory`."""
    return os.path.exists(os.path.join(registry_path(directory), DATABASE))


def connect(directory: str) -> "MlflowClient":
    """A client of the existing registry at `directory`; no global state of MLflow is read or changed.

    Raises:
      FileNotFoundError: there is no registry. (MLflow would retry for minutes, or make an empty one.)
      RegistryError: its schema is not that of this MLflow.
    """
    database = os.path.join(registry_path(directory), DATABASE)
    if not os.path.exists(database):
        raise FileNotFoundError(f"no registry: {database} is missing; `flowers run` makes it with the first version")
    return _client(usable(database))


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
    prepare_import()
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri(unfinished)).engine.dispose()
    os.replace(unfinished, database)


@contextlib.contextmanager
def lock(directory: str) -> Iterator[None]:
    """Holds the registry's lock: one writer at a time among the processes of this machine. A dead process holds nothing."""
    import filelock  # see contracts.layout.run_lock, for the fallback too

    os.makedirs(registry_path(directory), exist_ok=True)
    writers = filelock.FileLock(os.path.join(registry_path(directory), LOCK), fallback_to_soft=False)
    try:
        held = writers.acquire(blocking=False)
    except filelock.Timeout:
        logger.info("Waiting for another run that is writing to the registry at %s.", directory)
        held = writers.acquire()
    with held:
        yield


def offered(directory: str) -> dict[str, list[str]]:
    """Numbers and aliases by name for shell completion, without MLflow; {} if the file is missing or unreadable.

    They can be older than the registry, after a crash or a change by other tools: nothing else may depend on them.
    """
    with contextlib.suppress(OSError, ValueError):
        found = files.read_json(os.path.join(directory, OFFERED))
        return found if isinstance(found, dict) else {}
    return {}


def relocate(directory: str) -> None:
    """Lets MLflow's own client find the files of versions after DIR was moved: `mlflow_places.relocate`, where there is a registry."""
    if exists(directory):
        mlflow_places.relocate(directory, usable(os.path.join(registry_path(directory), DATABASE)))


def _client(database: str) -> "MlflowClient":
    prepare_import()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri(database), registry_uri=uri(database))


def client_of(server: str) -> "MlflowClient":
    """A client of the MLflow server at http(s)://HOST:PORT. Nothing is connected to yet."""
    prepare_import()
    for name, value in REQUESTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server, registry_uri=server)


def prepare_import() -> None:
    """To be called before MLflow is imported."""
    # Read when mlflow is imported: usage reports are not ours to send, and its own stderr handler and its bars would break into
    # the run's display.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"


KEYS = "keys"  # directory beside DIR/registry


@dataclass(frozen=True)
class MlflowBackend(InPlace):
    """The registered model `name` in DIR/registry, which is `directory`; see `backend.Backend` for each method.

    Raises:
      RegistryError: `directory` is remote.
    """

    directory: str
    name: str

    def __post_init__(self):
        registry_path(self.directory)

    @property
    def place(self) -> str:
        return self.directory

    @property
    def keys(self) -> str:
        return os.path.join(os.path.dirname(registry_path(self.directory)), KEYS)

    def versions(self) -> list[Version]:
        if not exists(self.directory):
            return []
        client = connect(self.directory)
        models = client.search_registered_models(f"name = '{self.name}'")
        if not models:
            return []
        aliases = {alias: str(version) for alias, version in models[0].aliases.items()}
        found = [self._version(entry, aliases) for entry in all_entries(client, f"name = '{self.name}'")]
        return sorted(found, key=lambda version: int(version.version))

    def model_tags(self) -> dict[str, str]:
        if not exists(self.directory):
            return {}
        models = connect(self.directory).search_registered_models(f"name = '{self.name}'")
        return dict(models[0].tags) if models else {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with lock(self.directory):
            create(self.directory)
            relocate(self.directory)
            client = connect(self.directory)
            if not client.search_registered_models(f"name = '{self.name}'"):
                client.create_registered_model(self.name)
            self._offer()  # a crash or other tools may have left it stale
            yield

    def files_path(self, content_hash: str) -> str:
        return mlflow_places.version_files(self.directory, content_hash)

    def create_version(self, content_hash: str, tags: Mapping[str, str]) -> str:
        # One transaction: no reader sees the version without its tags.
        client = connect(self.directory)
        made = client.create_model_version(
            self.name, mlflow_places.version_address(self.directory, content_hash), run_id=run_of(client, tags.get(RUN_ID, "")),
            tags=dict(tags))  # fmt: skip
        self._offer()
        return str(made.version)

    def set_version_tag(self, version: str, key: str, value: str) -> None:
        connect(self.directory).set_model_version_tag(self.name, version, key, value)

    def set_model_tag(self, key: str, value: str) -> None:
        connect(self.directory).set_registered_model_tag(self.name, key, value)

    def set_alias(self, alias: str, version: str) -> None:
        connect(self.directory).set_registered_model_alias(self.name, alias, version)
        self._offer()

    def delete_version(self, version: str) -> None:
        connect(self.directory).delete_model_version(self.name, version)
        self._offer()

    def leftovers(self) -> list[str]:
        # Of all names: two registered models that hold the same backbone share its files.
        used = {os.path.basename(entry.source.rstrip("/")) for entry in all_entries(connect(self.directory), "")}
        versions = os.path.join(registry_path(self.directory), VERSIONS)
        present = os.listdir(versions) if os.path.isdir(versions) else []
        return [os.path.join(versions, folder) for folder in sorted(set(present) - used)]

    def _offer(self) -> None:
        """Writes the file for `offered`, after each change and not at the end of an operation: a rollback that was killed after
        its last change would be repeated, and go further back."""
        versions = self.versions()
        values = [version.version for version in versions] + [alias for version in versions for alias in version.aliases]
        directory = registry_path(self.directory)
        before = offered(directory)
        if before.get(self.name) != values:
            with contextlib.suppress(OSError):  # the change itself succeeded; only completion would be stale
                files.write_json(os.path.join(directory, OFFERED), before | {self.name: values})

    def _version(self, entry: "ModelVersion", aliases: dict[str, str]) -> Version:
        return Version(
            name=entry.name,
            version=str(entry.version),
            aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(entry.version))),
            tags=dict(entry.tags),
            path=mlflow_places.files_of(self.directory, entry.source),
            created=datetime.datetime.fromtimestamp(entry.creation_timestamp / 1000, datetime.UTC),
        )


def run_of(client: "MlflowClient", run_id: str) -> str | None:
    """MLflow's id of the run that a run of the pipeline is at the same place; None if it is not there."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1) if run_id and experiments else []
    return found[0].info.run_id if found else None


def all_entries(client: "MlflowClient", condition: str) -> "list[ModelVersion]":
    """The rows of existing versions that satisfy MLflow's search condition, page after page."""
    found, token = [], None
    while True:
        page = client.search_model_versions(condition, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
