"""The files of a version: copied in, published by a manifest that is written last, compared with it later.

A directory without a manifest is an unfinished copy: nobody reads it, and the next publication replaces it. Works through
tf.io.gfile, without renaming directories, so that object stores work too.
"""

import logging
import posixpath
from collections.abc import Callable, Mapping

import tensorflow as tf

from contracts import model_files
from contracts.content_hash import content_hash
from contracts.files import UNFINISHED, json_sha256, read_json, size_and_sha256, write_json, written
from registry.backend import CARD_HASH, CONTENT_HASH, MLMODEL_HASH, PROBE_CONTENT_HASH, RegistryError
from registry.signatures import MANIFEST, PROVENANCE, SIGNATURE, WRITTEN_BY_MLFLOW

logger = logging.getLogger(__name__)

BACKBONE = "backbone"
PROBE = "probe"
MODEL_CARD = "MODEL_CARD.md"
SBOM = "sbom.cdx.json"  # the packages of the environment that made the version, as CycloneDX
# What makes a version a model of MLflow (mlflow_model): MLmodel, and what it names.
MLFLOW_CODE, MLFLOW_ENVIRONMENT, MLFLOW_EXAMPLE = "mlflow_code.zip", "python_env.yaml", "input_example.json"
MLFLOW_FILES = ("MLmodel", "requirements.txt", MLFLOW_ENVIRONMENT, MLFLOW_EXAMPLE, MLFLOW_CODE)
# They speak of the files that the manifest lists, and can be replaced; a kill leaves what was being written.
BESIDE = {MANIFEST, *(name + suffix for name in (PROVENANCE, SIGNATURE) for suffix in ("", UNFINISHED)), WRITTEN_BY_MLFLOW}


def publish_files(
    target: str, backbone: str, probe: str, identity: dict[str, str], documents: Mapping[str, bytes],
    seal: Callable[[Mapping[str, str], bool], None],
) -> dict[str, str]:  # fmt: skip
    """Copies the two directories to target/backbone and target/probe, writes the documents beside them, then target/manifest.json.

    A complete and undamaged copy at `target` is left alone, its texts included; anything else there is replaced.

    Args:
      target, backbone, probe: directories.
      identity: the directories' content hashes, see `differences`; with CARD_HASH and MLMODEL_HASH where the registry has them.
      documents: content by name, MODEL_CARD among them, and MLFLOW_FILES if it is to be a model of MLflow.
      seal: signs the files, of which it gets the SHA-256 (hex) by path, before the manifest is there; and whether the copy was
        complete already.

    Returns:
      CARD_HASH and, if there are MLFLOW_FILES, MLMODEL_HASH of what is in place now.

    Raises:
      RegistryError: what was copied does not have the given content hashes (`contracts.content_hash`); nothing is published.
    """
    if tf.io.gfile.exists(target):
        problems = differences(target, identity) or _without_card(target)
        if not problems:
            seal(listed(target), True)
            return _hashes(_manifest(target)["files"])
        logger.info("Replacing an incomplete or damaged copy at %s (%s: %s).", target, *problems[0])
        remove(target)
    files = {}
    for folder, source, expected in ((BACKBONE, backbone, identity[CONTENT_HASH]), (PROBE, probe, identity[PROBE_CONTENT_HASH])):
        for name in _walk(source):
            files[f"{folder}/{name}"] = _copy(posixpath.join(source, name), posixpath.join(target, folder, name))
        copied = content_hash(posixpath.join(target, folder))
        if copied != expected:
            raise RegistryError(
                f"the {folder} at {source} changed while it was copied: content hash {copied}, expected {expected}; run again"
            )
    for name, content in documents.items():
        files[name] = _write(target, name, content)
    seal({path: one["sha256"] for path, one in files.items()}, False)
    hashes = {key: identity[key] for key in (CONTENT_HASH, PROBE_CONTENT_HASH)}
    manifest = {"schema_version": 1, **hashes, "files": files}
    write_json(posixpath.join(target, MANIFEST), manifest)
    return _hashes(files)


def add_model(target: str, model: Mapping[str, bytes]) -> str:
    """Adds MLFLOW_FILES to a version that was published without them, and then to its manifest; returns MLMODEL_HASH of them.

    Until the registry has that hash they do not count (`differences`), so that after a crash this can be done again.
    """
    manifest = _manifest(target)
    manifest["files"] |= {name: _write(target, name, content) for name, content in model.items()}
    write_json(posixpath.join(target, MANIFEST), manifest)
    return _hashes(manifest["files"])[MLMODEL_HASH]


def listed(target: str) -> dict[str, str]:
    """SHA-256 (hex) by path of the files that the manifest at `target` lists."""
    return {path: one["sha256"] for path, one in _manifest(target)["files"].items()}


def differences(target: str, identity: dict[str, str]) -> list[tuple[str, str]]:
    """Every (path, problem) in which the files at `target` differ from the manifest and from `identity`.

    Args:
      target: a version's directory.
      identity: the content hashes that the registry has, under CONTENT_HASH, PROBE_CONTENT_HASH and, unless the version is older
        than them, CARD_HASH and MLMODEL_HASH. They are compared with the manifest and with the files, so that files and manifest
        changed together are noticed too.
    """
    if not tf.io.gfile.exists(target):
        return [(".", "the directory is missing")]
    try:
        manifest = _manifest(target)
        registered = {str(path): (int(entry["bytes"]), str(entry["sha256"])) for path, entry in manifest["files"].items()}
    except FileNotFoundError:
        return [(MANIFEST, "missing: the copy was never finished, or the file was removed")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [(MANIFEST, f"not a manifest ({error})")]

    present = set(_walk(target)) - BESIDE
    if not identity.get(MLMODEL_HASH):  # an addition that was interrupted, which the next one replaces
        present -= {name + end for name in (*MLFLOW_FILES, MANIFEST) for end in ("", UNFINISHED)} - registered.keys()
    problems = [(path, "missing") for path in sorted(registered.keys() - present)]
    problems += [(path, "not part of what was registered") for path in sorted(present - registered.keys())]
    for path in sorted(present & registered.keys()):
        size, digest = size_and_sha256(posixpath.join(target, path))
        if size != registered[path][0]:
            problems.append((path, f"{size} bytes, registered with {registered[path][0]}"))
        elif digest != registered[path][1]:
            problems.append((path, f"changed: SHA-256 {digest}, registered with {registered[path][1]}"))

    for folder, key in ((BACKBONE, CONTENT_HASH), (PROBE, PROBE_CONTENT_HASH)):
        if manifest.get(key) != identity[key]:
            problems.append((MANIFEST, f"{key} is {manifest.get(key)}, the registry has {identity[key]}"))
        directory = posixpath.join(target, folder)
        # Where a file differs, the hash of the directory says nothing new.
        if not any(path.startswith(folder + "/") for path, _ in problems) and content_hash(directory) != identity[key]:
            problems.append((folder, f"content hash {content_hash(directory)}, the registry has {identity[key]}"))
    hashes = _hashes(manifest["files"])
    for name, key in ((MODEL_CARD, CARD_HASH), (MLFLOW_FILES[0], MLMODEL_HASH)):
        if identity.get(key) and hashes.get(key) != identity[key]:
            problems.append((name, f"SHA-256 {hashes.get(key, 'missing')} in the manifest, the registry has {identity[key]}"))
    return problems


# What may differ between the records of equal probes: where and by which code they were fitted.
WHERE_FITTED = ("backbone_uri", "code_version")


def same_probe(one: str, other: str) -> bool:
    """Whether two directories hold the same probe: equal arrays, classes, calibration and backbone.

    Their content hashes differ even so if it was fitted twice, as TensorFlow gives every SavedModel an id of its own.
    """
    try:
        arrays = [size_and_sha256(posixpath.join(directory, model_files.PROBE_ARRAYS)) for directory in (one, other)]
        records = [read_json(posixpath.join(directory, model_files.PROBE_RECORD)) for directory in (one, other)]
    except (FileNotFoundError, tf.errors.NotFoundError, ValueError):
        return False
    what = [{key: value for key, value in record.items() if key not in WHERE_FITTED} for record in records]
    return arrays[0] == arrays[1] and what[0] == what[1]


def remove(directory: str) -> None:
    """Deletes a directory of files that belong to no version. The manifest goes first: half-deleted files are no copy."""
    manifest = posixpath.join(directory, MANIFEST)
    if tf.io.gfile.exists(manifest):
        tf.io.gfile.remove(manifest)
    tf.io.gfile.rmtree(directory)


def _manifest(target: str) -> dict:
    return read_json(posixpath.join(target, MANIFEST))


def _hashes(files: Mapping[str, Mapping]) -> dict[str, str]:
    """What the registry keeps of the files in a manifest besides the content hashes: CARD_HASH and MLMODEL_HASH, if it has them."""
    model = {name: files[name]["sha256"] for name in MLFLOW_FILES if name in files}
    card = {CARD_HASH: files[MODEL_CARD]["sha256"]} if MODEL_CARD in files else {}
    return card | ({MLMODEL_HASH: json_sha256(model)} if model else {})


def _write(target: str, name: str, content: bytes) -> dict:
    """Writes a file, and returns its entry in the manifest."""
    path = posixpath.join(target, name)
    with written(path) as file:
        file.write(content)
    size, digest = size_and_sha256(path)
    return {"bytes": size, "sha256": digest}


def _without_card(target: str) -> list[tuple[str, str]]:
    return [] if MODEL_CARD in _manifest(target)["files"] else [(MODEL_CARD, "missing")]


def _walk(directory: str) -> list[str]:
    return sorted(
        posixpath.relpath(posixpath.join(folder, name), directory) for folder, _, names in tf.io.gfile.walk(directory) for name in names
    )


def _copy(source: str, target: str) -> dict:
    tf.io.gfile.makedirs(posixpath.dirname(target))
    tf.io.gfile.copy(source, target, overwrite=True)
    size, digest = size_and_sha256(target)
    return {"bytes": size, "sha256": digest}
