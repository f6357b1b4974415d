"""The backend on Google Cloud: the Vertex AI Model Registry, with the files in a bucket.

    Vertex AI model NAME                          versions with labels and description, the alias `champion`
    FOLDER/versions/CONTENT_HASH/                 backbone/ (a version's artifact_uri), probe/, the texts and the signature, and,
                                                  written last, manifest.json
    FOLDER/../keys/trusted/                       public keys whose signatures count
    FOLDER/records/PROJECT/REGION/NAME/           CONTENT_HASH.json: all tags of a version; model.json: those of the model; lock:
                                                  there while somebody writes

The champion is also Vertex AI's default version, which is used where none is named. Before the first champion the default is
version 1, as Vertex AI requires. A label's value has at most 63 lower-case letters, digits, `_` and `-`
(https://cloud.google.com/resource-manager/docs/labels-overview#requirements), too few for most tags: labels are copies for
filtering. The registry itself relies on the hashes in the description and on the record beside the files.
"""

import contextlib
import datetime
import functools
import posixpath
import re
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts import baseline, files
from contracts.text import percent
from registry.backend import (
    ACCURACY,
    BASELINE_VERSION,
    CHAMPION,
    CONTENT_HASH,
    PROBE_CONTENT_HASH,
    WITHHELD,
    RegistryError,
    Version,
)
from registry.in_place import InPlace
from vertex import lock
from vertex.client import Connection
from vertex.models import VertexModels

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Model


KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
VALUE = re.compile(r"[a-z0-9_-]{1,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PROBE = re.compile(r"\bprobe sha256 ([0-9a-f]{64})\b")


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Those tags that can be labels; a SHA-256 without its last digit."""
    fitting = {key: text[:63] if SHA256.fullmatch(text) else text for key, text in tags.items() if KEY.fullmatch(key)}
    return {key: text for key, text in fitting.items() if VALUE.fullmatch(text)}


def description(tags: Mapping[str, str]) -> str:
    """A few sentences about a version. `probe_hash` finds the probe's hash in them."""
    against = tags.get(BASELINE_VERSION)
    withheld = tags.get(WITHHELD, "")
    sentences = [
        f"Flower backbone, linear top-1 {_percent(tags, ACCURACY)}, {baseline.of(tags)} {_percent(tags, 'floor')}",
        f"judged against version {against}" if against else "judged without a champion to compare with",
        f"data {tags.get('data_source', 'unknown')}, run {tags.get('run_id', 'unknown')}",
        f"not champion when it was registered: {withheld[:300]}" if withheld else "",
        f"backbone sha256 {tags[CONTENT_HASH]}",
        f"probe sha256 {tags[PROBE_CONTENT_HASH]}",
    ]
    return ". ".join(filter(None, sentences)) + "."


def _percent(tags: Mapping[str, str], tag: str) -> str:
    return percent(float(tags[tag])) if tag in tags else "unknown"


def probe_hash(text: str) -> str:
    """The content hash of the probe, from a description; "" if it was edited out."""
    found = PROBE.search(text)
    return found[1] if found else ""


SCHEME = "vertex://"
PLACE = re.compile(SCHEME + r"([^/?]+)/([^/?]+)/([^?]*)(?:\?(.*))?")
MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")  # as UploadModelRequest.model_id has to be
ARTIFACT = re.compile(r"(?P<path>(?P<folder>.*)/versions/(?P<content_hash>[0-9a-f]{64}))/backbone/?")
DEFAULT = "default"
MODEL_RECORD = "model"
RECORD_MISSING = "record_missing"  # a tag in place of those that are lost
# A copy younger than this can belong to the publication of another model in the same folder, which has a lock of its own.
LEFTOVER_SECONDS = 24 * 3600
# Vertex AI accepts no model without a serving container. This is Google's newest with TensorFlow; the registry deploys nothing,
# and does not promise that it can serve what a newer TensorFlow saved.
SERVING_IMAGE = "{continent}-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
CONTINENTS = ("us", "europe", "asia")  # where Google keeps these images


def vertex_place(project: str, region: str, folder: str, **options: str) -> str:
    """The place of a registry as `opening.open_registry` takes it.

    Args:
      project, region: where the model is.
      folder: address of the folder for the files, gs://BUCKET/FOLDER; empty: where those of existing versions are.
      **options: `serving_image` and `kms_key` of VertexBackend.
    """
    given = urllib.parse.urlencode({key: value for key, value in options.items() if value})
    return f"{SCHEME}{project}/{region}/{folder}{given and f'?{given}'}"


@dataclass(frozen=True)
class VertexBackend(InPlace):
    """The model `name` of a project and region; see `backend.Backend` for each method. GoogleCloudError where a call fails.

    Attributes:
      connection: project and region.
      folder: where the files are; empty: where those of existing versions are.
      name: the registered model, and its id in Vertex AI.
      serving_image: the serving container of new versions; empty: SERVING_IMAGE.
      kms_key: encrypts what Vertex AI keeps of a version; empty: Google's own key.
    """

    connection: Connection
    folder: str
    name: str
    serving_image: str = ""
    kms_key: str = ""

    def __post_init__(self):
        if not MODEL_ID.fullmatch(self.name):
            raise RegistryError(
                "registry.name must have at most 63 lower-case letters, digits, '-' and '_' and begin with a letter or '_' on "
                f"Vertex AI, got {self.name!r}"
            )

    @classmethod
    def at(cls, place: str, name: str) -> "VertexBackend":
        """The registry at a place that `vertex_place` made."""
        found = PLACE.fullmatch(place)
        if not found:
            raise RegistryError(f"the place of a registry on Vertex AI must be {SCHEME}PROJECT/REGION/FOLDER, got {place}")
        project, region, folder, options = found.groups()
        return cls(Connection(project, region), folder, name, **dict(urllib.parse.parse_qsl(options or "")))

    @property
    def place(self) -> str:
        return f"Vertex AI in project {self.connection.project}, {self.connection.region}"

    @property
    def keys(self) -> str:
        folder = self._folder()
        return posixpath.join(posixpath.dirname(folder), "keys") if folder else ""

    def versions(self) -> list[Version]:
        models = self._all_versions()
        former = _former_champions(models)
        return [self._version(one, {CHAMPION} if one in former else set()) for one in models]

    def model_tags(self) -> dict[str, str]:
        folder = self._folder()
        return self._read_tags(folder, MODEL_RECORD) if folder else {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Others wait at a lock in the bucket: what is decided from the present champion is done while it is still the champion."""
        place = self.lock_place()
        with lock.held(self.connection.project, place) if place else contextlib.nullcontext():
            self._models.wait_until_quiet()
            self._delete_duplicates()
            self._free_former_champions()
            yield

    def lock_place(self) -> str:
        """Address of the lock of this model; "" where there is no bucket: without a version yet, and on other file systems, which have
        no generations."""
        folder = self._folder()
        return posixpath.join(posixpath.dirname(self._record(folder, "")), "lock") if folder.startswith("gs://") else ""

    def files_path(self, content_hash: str) -> str:
        if not self._folder():
            raise RegistryError(f"{self.name} has no versions yet: give the bucket for their files with --bucket")
        return posixpath.join(self._folder(), "versions", content_hash)

    def create_version(self, content_hash: str, tags: Mapping[str, str]) -> str:
        from google.cloud.aiplatform_v1.types import EncryptionSpec, Model, ModelContainerSpec

        # Before the version, so that no reader sees the version without its tags.
        self._write_tags(content_hash, tags)
        model = Model(
            display_name=self.name,
            version_description=description(tags),
            labels=labels(tags),
            artifact_uri=posixpath.join(self.files_path(content_hash), "backbone"),
            container_spec=ModelContainerSpec(image_uri=self.serving_image or _serving_image(self.connection.region)),
            encryption_spec=EncryptionSpec(kms_key_name=self.kms_key) if self.kms_key else None,
        )
        number = self._models.upload(model)
        return self._delete_duplicates().get(content_hash, number)

    def set_version_tag(self, version: str, key: str, value: str) -> None:
        changed = self._one(version)
        tags = changed.tags | {key: value}
        self._write_tags(changed.tags[CONTENT_HASH], tags)
        self._models.describe(version, description(tags), labels(tags))

    def set_model_tag(self, key: str, value: str) -> None:
        self._write_tags(MODEL_RECORD, self.model_tags() | {key: value})

    def set_alias(self, alias: str, version: str) -> None:
        self._models.merge_aliases(version, alias, *([DEFAULT] if alias == CHAMPION else []))
        self._free_former_champions()

    def delete_version(self, version: str) -> None:
        content_hash = self._one(version).tags.get(CONTENT_HASH, "")
        folder = self._folder()
        self._models.delete(version)
        if content_hash:
            _remove(self._record(folder, content_hash))

    def leftovers(self) -> list[str]:
        import tensorflow as tf

        folder = self._folder()
        used = {version.tags.get(CONTENT_HASH) for version in self.versions()}
        # Other models, regions and projects can keep their files here too: a record of theirs claims them.
        claims = set(tf.io.gfile.glob(f"{folder}/records/*/*/*/*.json")) - set(tf.io.gfile.glob(self._record(folder, "*")))
        used |= {posixpath.basename(path).removesuffix(".json") for path in claims}
        versions = posixpath.join(folder, "versions")
        present = {one.rstrip("/") for one in tf.io.gfile.listdir(versions)} if tf.io.gfile.exists(versions) else set()
        return [path for one in sorted(present - used) if _is_abandoned(path := posixpath.join(versions, one))]

    @functools.cached_property
    def _models(self) -> VertexModels:
        return VertexModels(self.connection, self.name)

    def _all_versions(self) -> "list[Model]":
        return sorted(self._models.versions(), key=lambda model: int(model.version_id))

    def _one(self, version: str) -> Version:
        return next(one for one in self.versions() if one.version == version)

    def _version(self, model: "Model", hidden: set[str]) -> Version:
        # What identifies a version is never read from the bucket, which others can write to. A model that another tool uploaded
        # has no such path, and no tags.
        tags, artifact = {}, ARTIFACT.fullmatch(model.artifact_uri)
        if artifact:
            tags = self._read_tags(artifact["folder"], artifact["content_hash"]) or {
                RECORD_MISSING: self._record(artifact["folder"], artifact["content_hash"])
            }
            tags |= {CONTENT_HASH: artifact["content_hash"], PROBE_CONTENT_HASH: probe_hash(model.version_description)}
        return Version(
            name=self.name,
            version=model.version_id,
            aliases=tuple(sorted({*model.version_aliases} - hidden)),
            tags=tags,
            path=artifact["path"] if artifact else model.artifact_uri,
            created=datetime.datetime.fromtimestamp(model.version_create_time.timestamp(), datetime.UTC),
        )

    def _free_former_champions(self) -> None:
        """Google documents that an alias given to one version leaves the other. Should it not, it is removed here."""
        for former in _former_champions(self._all_versions()):
            self._models.merge_aliases(former.version_id, f"-{CHAMPION}")

    def _delete_duplicates(self) -> dict[str, str]:
        """Deletes further versions of the same files, as an upload leaves that only seemed to fail; never a champion.

        Returns:
          The version of each content hash.
        """
        kept: dict[str, str] = {}
        for model in sorted(self._all_versions(), key=lambda one: CHAMPION not in one.version_aliases):
            artifact = ARTIFACT.fullmatch(model.artifact_uri)
            if artifact and kept.setdefault(artifact["content_hash"], model.version_id) != model.version_id:
                self._models.delete(model.version_id)
        return kept

    def _folder(self) -> str:
        if self.folder:
            return self.folder
        found = {artifact["folder"] for one in self._all_versions() if (artifact := ARTIFACT.fullmatch(one.artifact_uri))}
        if len(found) > 1:
            raise RegistryError(f"{self.name} has files in {' and '.join(sorted(found))}: choose one with --bucket")
        return found.pop() if found else ""

    def _record(self, folder: str, record: str) -> str:
        return posixpath.join(folder, "records", self.connection.project, self.connection.region, self.name, f"{record}.json")

    def _read_tags(self, folder: str, record: str) -> dict[str, str]:
        path = self._record(folder, record)
        try:
            return {str(key): str(value) for key, value in files.read_json(path)["tags"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(f"{path} must be a record of tags, and is not ({error}): restore or delete it") from error

    def _write_tags(self, record: str, tags: Mapping[str, str]) -> None:
        files.write_json(self._record(self._folder(), record), {"schema_version": 1, "tags": dict(sorted(tags.items()))})


def _former_champions(models: "list[Model]") -> "list[Model]":
    """All versions with the alias but the one that was updated last, which got it last."""
    return sorted((one for one in models if CHAMPION in one.version_aliases), key=lambda one: one.version_update_time)[:-1]


def _serving_image(region: str) -> str:
    continent = region.partition("-")[0]
    return SERVING_IMAGE.format(continent=continent if continent in CONTINENTS else CONTINENTS[0])


def _remove(path: str) -> None:
    import tensorflow as tf

    if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def _is_abandoned(directory: str) -> bool:
    import tensorflow as tf

    paths = [posixpath.join(folder, name) for folder, _, names in tf.io.gfile.walk(directory) for name in names]
    newest = max((tf.io.gfile.stat(path).mtime_nsec for path in paths), default=0)
    return time.time() - newest / 1e9 > LEFTOVER_SECONDS
