"""The backend for one machine: MLflow's model registry on SQLite, the files beside it.

    DIR/registry/mlflow.db                      names, versions, tags, the alias `champion`
    DIR/registry/versions/CONTENT_HASH/         backbone/, probe/, MODEL_CARD.md and, written last, manifest.json
    DIR/registry/lock                           held by whoever writes

Paths are stored relative to DIR/registry, so that DIR can be moved or restored elsewhere as a whole. MLflow numbers the versions
of a name from 1 and keeps the row of a deleted one, so that no number comes twice.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.registry import store
from components.registry.version import Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

VERSIONS = "versions"  # directory below DIR/registry


@dataclass(frozen=True)
class MlflowBackend:
    """The registered model `name` in DIR/registry, which is `directory`; see `backend.Backend` for each method.

    Raises:
      RegistryError: `directory` is remote.
    """

    directory: str
    name: str

    def __post_init__(self):
        store.registry_path(self.directory)

    @property
    def place(self) -> str:
        return self.directory

    def versions(self) -> list[Version]:
        if not store.exists(self.directory):
            return []
        client = store.client(self.directory)
        models = client.search_registered_models(f"name = '{self.name}'")
        if not models:
            return []
        aliases = {alias: str(version) for alias, version in models[0].aliases.items()}
        found = [self._version(entry, aliases) for entry in _all_entries(client, f"name = '{self.name}'")]
        return sorted(found, key=lambda version: int(version.version))

    def model_tags(self) -> dict[str, str]:
        if not store.exists(self.directory):
            return {}
        models = store.client(self.directory).search_registered_models(f"name = '{self.name}'")
        return dict(models[0].tags) if models else {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with store.lock(self.directory):
            store.create(self.directory)
            client = store.client(self.directory)
            if not client.search_registered_models(f"name = '{self.name}'"):
                client.create_registered_model(self.name)
            yield

    def files_path(self, content_hash: str) -> str:
        return os.path.join(store.registry_path(self.directory), VERSIONS, content_hash)

    def create_version(self, content_hash: str, tags: Mapping[str, str]) -> str:
        # One transaction: no reader sees the version without its tags.
        made = store.client(self.directory).create_model_version(self.name, f"{VERSIONS}/{content_hash}", tags=dict(tags))
        return str(made.version)

    def set_version_tag(self, version: str, key: str, value: str) -> None:
        store.client(self.directory).set_model_version_tag(self.name, version, key, value)

    def set_model_tag(self, key: str, value: str) -> None:
        store.client(self.directory).set_registered_model_tag(self.name, key, value)

    def set_alias(self, alias: str, version: str) -> None:
        store.client(self.directory).set_registered_model_alias(self.name, alias, version)

    def delete_version(self, version: str) -> None:
        store.client(self.directory).delete_model_version(self.name, version)

    def leftovers(self) -> list[str]:
        # Of all names: two registered models that hold the same backbone share its files.
        used = {os.path.basename(entry.source) for entry in _all_entries(store.client(self.directory), "")}
        versions = os.path.join(store.registry_path(self.directory), VERSIONS)
        present = os.listdir(versions) if os.path.isdir(versions) else []
        return [os.path.join(versions, folder) for folder in sorted(set(present) - used)]

    def _version(self, entry: "ModelVersion", aliases: dict[str, str]) -> Version:
        return Version(
            name=entry.name,
            version=str(entry.version),
            aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(entry.version))),
            tags=dict(entry.tags),
            path=os.path.join(store.registry_path(self.directory), entry.source),
            created=datetime.datetime.fromtimestamp(entry.creation_timestamp / 1000, datetime.UTC),
        )


def _all_entries(client: "MlflowClient", condition: str) -> "list[ModelVersion]":
    """The rows of existing versions that satisfy MLflow's search condition, page after page."""
    found, token = [], None
    while True:
        page = client.search_model_versions(condition, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
