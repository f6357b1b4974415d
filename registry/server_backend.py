"""The backend that several machines share: the model registry of an MLflow server, and its artifacts for the files.

    on the server   the registered model NAME, its versions with their tags, the alias `champion`; the locks NAME.lock.NUMBER
                    (`server_lock`); the experiment NAME.versions, with a run for each version, whose artifacts are its files, as
                    MLflow lets a version have files of a run alone
    DIR/copies/     of the files of versions, on this machine; DIR/keys/ as for the registry of DIR

A server carries out each request completely or not at all, and knows no transaction over several. The artifacts are there before
the version is, and a version is made with its tags by one request, as the alias is moved by one. A request whose answer is lost
is repeated by MLflow's client, so that a version can be made twice: the later one is deleted at once, or by the next writer.

User and password are MLflow's: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.
"""

import contextlib
import datetime
import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from contracts.layout import Layout
from contracts.text import visible
from registry import mlflow_backend, mlflow_runs, server_lock
from registry.backend import CARD_HASH, CONTENT_HASH, MLMODEL_HASH, PROBE_CONTENT_HASH, RUN_ID, RegistryError, Version
from registry.mlflow_backend import all_entries

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

# Tags of the run that has a version's files.
MODEL_TAG, PUBLISHED_BY = "flowers.registered_model", "flowers.published_by"
ARTIFACTS = "version"  # folder of the run's artifacts
SHA256 = re.compile(r"[0-9a-f]{64}")
RUNS = "runs:/"


class MlflowServerBackend:
    """The registered model `name` on the MLflow server at `place`, http(s)://HOST:PORT; see `backend.Backend` for each method.

    RegistryError where the server does not answer, or refuses.
    """

    def __init__(self, place: str, root: str, name: str):
        """`root` is DIR, for copies of files and keys."""
        self.place, self.name = place, name
        layout = Layout.at(root)
        self.keys = str(layout.keys)
        # Two servers, or two names on one, can have different files for one backbone.
        self._copies = str(layout.copies / hashlib.sha256(f"{place}\0{name}".encode()).hexdigest()[:16])
        self._require_held: Callable[[], None] | None = None

    def versions(self) -> list[Version]:
        with self._answering() as client:
            model, entries = self._model(client), []
            while model is not None:
                entries = all_entries(client, f"name = '{self.name}'")
                now = self._model(client)
                if now is None or now.aliases == model.aliases:
                    break
                model = now  # the alias moved between two requests, perhaps to a version that the list has not
            aliases = {alias: str(version) for alias, version in model.aliases.items()} if model else {}
        return sorted((self._version(entry, aliases) for entry in entries), key=lambda version: int(version.version))

    def model_tags(self) -> dict[str, str]:
        with self._answering() as client:
            model = self._model(client)
        return dict(model.tags) if model else {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Others wait at the lock on the server: what is decided from the present champion is done while it is still that."""
        with self._answering() as client, server_lock.held(client, self.name) as self._require_held:
            try:
                self._make_model(client)
                self._delete_duplicates(client)
                yield
            finally:
                self._require_held = None

    def files_path(self, content_hash: str) -> str:
        return os.path.join(self._copies, content_hash)

    def fetch(self, version: Version, anew: bool = False) -> None:
        """A version that another tool registered, with files elsewhere, has no copy, and so nothing that could be used."""
        from registry.server_files import OF_THE_SERVER, ServerFiles  # imports TensorFlow

        identity = {key: version.tags.get(key, "") for key in (CONTENT_HASH, PROBE_CONTENT_HASH, CARD_HASH, MLMODEL_HASH)}
        with self._answering() as client:
            address = client.get_model_version_download_uri(self.name, version.version)
            if OF_THE_SERVER.fullmatch(address):
                ServerFiles(self.place, address).fetch(version.path, identity, anew)

    def store(self, version: Version, signature_alone: bool) -> None:
        from registry.server_files import ServerFiles  # imports TensorFlow

        with self._changing() as client:
            address = client.get_model_version_download_uri(self.name, version.version)
            ServerFiles(self.place, address).upload(version.path, signature_alone)

    def create_version(self, content_hash: str, tags: Mapping[str, str]) -> str:
        from registry.server_files import ServerFiles  # imports TensorFlow

        with self._changing() as client:
            experiment = mlflow_runs.experiment_id_of(client, f"{self.name}.versions")
            described = {MODEL_TAG: self.name, PUBLISHED_BY: tags.get(RUN_ID, "")}
            run = client.create_run(experiment, tags=described, run_name=f"{self.name} {content_hash[:12]}")
            address = f"{run.info.artifact_uri}/{ARTIFACTS}"
            ServerFiles(self.place, address).upload(self.files_path(content_hash), signature_alone=False)
            client.set_terminated(run.info.run_id)
        with self._changing() as client:
            made = client.create_model_version(
                self.name, address, run_id=run.info.run_id, tags=dict(tags), run_link=self._page_of(client, tags.get(RUN_ID, "")),
                await_creation_for=0)  # fmt: skip
            return self._delete_duplicates(client).get(address, str(made.version))

    def set_version_tag(self, version: str, key: str, value: str) -> None:
        with self._changing() as client:
            client.set_model_version_tag(self.name, version, key, value)

    def set_model_tag(self, key: str, value: str) -> None:
        with self._changing() as client:
            client.set_registered_model_tag(self.name, key, value)

    def set_alias(self, alias: str, version: str) -> None:
        with self._changing() as client:
            client.set_registered_model_alias(self.name, alias, version)

    def delete_version(self, version: str) -> None:
        with self._changing() as client:
            self._delete(client, version)

    def leftovers(self) -> list[str]:
        """The runs of this model that have the files of no version, and copies of what is no version any more."""
        with self._answering() as client:
            experiment = client.get_experiment_by_name(f"{self.name}.versions")
            entries = all_entries(client, f"name = '{self.name}'")
            runs = experiment and _all_runs(client, experiment.experiment_id, f"tags.`{MODEL_TAG}` = '{self.name}'")
        used = {entry.run_id for entry in entries}
        copies = os.listdir(self._copies) if os.path.isdir(self._copies) else []
        known = {os.path.basename(self._path(entry)) for entry in entries}
        return [f"{RUNS}{run}" for run in runs or [] if run not in used] + [
            os.path.join(self._copies, one) for one in sorted(copies) if SHA256.fullmatch(one) and one not in known]  # fmt: skip

    def remove(self, leftover: str) -> None:
        """Deletes a copy, or a run with its artifacts: MLflow keeps a deleted run until `mlflow gc`."""
        from registry import files  # imports TensorFlow
        from registry.server_files import ServerFiles

        if not leftover.startswith(RUNS):
            files.remove(leftover)
            return
        with self._changing() as client:
            run = client.get_run(leftover.removeprefix(RUNS))
            ServerFiles(self.place, f"{run.info.artifact_uri}/{ARTIFACTS}").delete()
            client.delete_run(run.info.run_id)

    @functools.cached_property
    def _client(self) -> "MlflowClient":
        return mlflow_backend.client_of(self.place)

    @contextlib.contextmanager
    def _answering(self) -> Iterator["MlflowClient"]:
        """The client; what it raises becomes a RegistryError that says what to do."""
        client = self._client
        from mlflow.exceptions import MlflowException, RestException
        from requests import RequestException

        try:
            yield client
        except RestException as error:
            raise RegistryError(f"the MLflow server at {self.place} refused: {_words(error)}{_whose(error)}") from error
        except (MlflowException, RequestException) as error:
            raise RegistryError(
                f"the MLflow server at {self.place} does not answer as it should ({_words(error)}){_whose(error)}; when it does, "
                "repeat the command, which continues"
            ) from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator["MlflowClient"]:
        with self._answering() as client:
            if self._require_held is None:
                raise RuntimeError("a registry is changed only inside writing()")
            self._require_held()
            yield client

    def _model(self, client: "MlflowClient") -> "RegisteredModel | None":
        from mlflow.exceptions import MlflowException

        try:
            return client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != server_lock.MISSING:
                raise
            return None

    def _make_model(self, client: "MlflowClient") -> None:
        from mlflow.exceptions import MlflowException

        if self._model(client) is None:
            try:
                client.create_registered_model(self.name)
            except MlflowException as error:
                if error.error_code != server_lock.EXISTS:  # else a first request was carried out, and its answer was lost
                    raise

    def _version(self, entry: "ModelVersion", aliases: Mapping[str, str]) -> Version:
        return Version(
            name=entry.name,
            version=str(entry.version),
            aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(entry.version))),
            tags=dict(entry.tags),
            path=self._path(entry),
            created=datetime.datetime.fromtimestamp(entry.creation_timestamp / 1000, datetime.UTC),
        )

    def _path(self, entry: "ModelVersion") -> str:
        # A tag is what somebody wrote into it: no other name leads out of the folder.
        content_hash = entry.tags.get(CONTENT_HASH, "")
        return self.files_path(content_hash if SHA256.fullmatch(content_hash) else f"version-{int(entry.version)}")

    def _delete_duplicates(self, client: "MlflowClient") -> dict[str, str]:
        """Deletes further versions of the same artifacts, as a request leaves that was repeated; never one that has an alias.

        Returns:
          The version by the address of its artifacts.
        """
        model = self._model(client)
        named = {str(version) for version in model.aliases.values()} if model else set()
        kept: dict[str, str] = {}
        entries = all_entries(client, f"name = '{self.name}'")
        for entry in sorted(entries, key=lambda one: (str(one.version) not in named, int(one.version))):
            number = str(entry.version)
            if kept.setdefault(entry.source, number) != number and number not in named:
                self._delete(client, number)
        return kept

    def _delete(self, client: "MlflowClient", version: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.delete_model_version(self.name, version)
        except MlflowException as error:
            if error.error_code != server_lock.MISSING:  # else a first request was carried out, and its answer was lost
                raise

    def _page_of(self, client: "MlflowClient", run_id: str) -> str | None:
        """MLflow's page of the run that made a version; None if it is not tracked on this server."""
        found = mlflow_backend.run_of(client, run_id)
        return found and f"{self.place}/#/experiments/{client.get_run(found).info.experiment_id}/runs/{found}"


def _all_runs(client: "MlflowClient", experiment: str, condition: str) -> list[str]:
    found, token = [], None
    while True:
        page = client.search_runs([experiment], condition, page_token=token)
        found += [run.info.run_id for run in page]
        token = page.token
        if not token:
            return found


def _words(error: Exception) -> str:
    """What a server or a connection said, in one line."""
    text = " ".join(str(error).split())
    _, _, cause = text.rpartition("Caused by ")
    return visible((cause or text)[:300])


def _whose(error: Exception) -> str:
    """What to do if the server wants to know who asks."""
    asks = any(word in str(error) for word in ("401", "403", "PERMISSION_DENIED", "UNAUTHENTICATED"))
    return "; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, say who asks" if asks else ""
