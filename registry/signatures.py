"""Signs the files of a version, and tells whether a signature is theirs; decides nothing about whom to trust.

    VERSION/provenance.json     what the registry states of the version: data, code, run, figures, verdict (its tags); by the name of
                                the registered model, as two models that hold the same backbone share its files
    VERSION/model.sig           an in-toto statement of the SHA-256 of every file, provenance.json among them, in a DSSE envelope

The library model-signing writes and reads the signature, in the format of the OpenSSF Model Signing specification, so that
`model_signing verify key` checks a version without this project. Files are hashed here, as the library cannot read remote ones.
manifest.json is not signed: it only repeats hashes that are.
"""

import json
import os
import pathlib
import posixpath
import shutil
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from contracts import files
from registry import keys
from registry.keys import SigningKey

if TYPE_CHECKING:
    from model_signing import hashing

SIGNATURE = "model.sig"
PROVENANCE = "provenance.json"
MANIFEST = "manifest.json"
# MLflow's client writes this file, the name and the number of the version, into each model that it loads from a local disk, and
# nobody reads it.
WRITTEN_BY_MLFLOW = "registered_model_meta"
# A signature lists some dozens of files, and provenance some dozens of tags of 4,000 characters at most: more is not ours.
MOST_BYTES = 4_000_000


class Invalid(Exception):
    """A signature, or what it states, is not that of the files; the message says what is wrong."""


Statements = Mapping[str, Mapping[str, object]]


def sign(target: str, hashes: Mapping[str, str], statements: Statements | None, key: SigningKey) -> None:
    """Writes PROVENANCE and then SIGNATURE, each in one step.

    Args:
      target: directory of a version, local or remote.
      hashes: SHA-256 (hex) of its files by path, without those of this module and the manifest.
      statements: by the name of the registered model, `signed_by` (text) and `tags` (names to text); None: PROVENANCE is signed as it is.
      key: whose signature it will be.
    """
    from model_signing import signing

    if statements is not None:
        files.write_json(posixpath.join(target, PROVENANCE), {"schema_version": 1, "versions": statements})
    found = {**hashes, PROVENANCE: files.sha256(posixpath.join(target, PROVENANCE))}
    with tempfile.TemporaryDirectory() as folder, keys.local_copy(key.path) as private:
        path = os.path.join(folder, SIGNATURE)
        configured = signing.Config().use_elliptic_key_signer(private_key=private).set_hashing_config(_known(found))
        configured.sign(target, path)
        with open(path, "rb") as made, files.written(posixpath.join(target, SIGNATURE)) as file:
            shutil.copyfileobj(made, file)


def remove(target: str) -> None:
    """Removes SIGNATURE, if there is one."""
    import tensorflow as tf

    if tf.io.gfile.exists(path := posixpath.join(target, SIGNATURE)):
        tf.io.gfile.remove(path)


def signer(target: str) -> str | None:
    """The id of the key that is named beside the signature; nothing is checked. None: there is no signature.

    Raises:
      Invalid: it is no signature of this kind.
    """
    text = _read(target, SIGNATURE)
    if text is None:
        return None
    try:
        return str(json.loads(text)["verificationMaterial"]["publicKey"]["hint"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Invalid(f"not a signature ({type(error).__name__})") from error


def stated(target: str, hashes: Mapping[str, str], public: bytes) -> Statements:
    """The statements in PROVENANCE, after the signature was checked.

    Args:
      target, hashes: as in `sign`; the files as they are now.
      public: the key, in PEM, that must have signed.

    Raises:
      Invalid: the signature is not of this key, or not of these files.
    """
    from model_signing import verifying

    text, provenance = _read(target, SIGNATURE), _read(target, PROVENANCE)
    if text is None or provenance is None:
        raise Invalid(f"{SIGNATURE if text is None else PROVENANCE} is missing")
    with tempfile.TemporaryDirectory() as folder:
        # What is checked is what was read: a file that changes meanwhile changes nothing here.
        signature, beside, key = (os.path.join(folder, name) for name in (SIGNATURE, PROVENANCE, "key"))
        for path, content in ((signature, text), (beside, provenance), (key, public)):
            pathlib.Path(path).write_bytes(content)
        found = {**hashes, PROVENANCE: files.sha256(beside)}
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(_known(found)).verify(folder, signature)
            return json.loads(provenance)["versions"]
        except Exception as error:  # whatever the library raises on a hostile file: it is not a signature of these files
            raise Invalid(f"the signature does not fit ({_words(error)})") from error


def names(target: str) -> set[str]:
    """The registered models of which PROVENANCE states something; nothing is checked. Empty if it is missing or unreadable."""
    try:
        return set(json.loads(_read(target, PROVENANCE) or b"{}")["versions"])
    except (ValueError, KeyError, TypeError, RecursionError, Invalid):
        return set()


def _read(target: str, name: str) -> bytes | None:
    try:
        with files.opened(posixpath.join(target, name)) as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MOST_BYTES:
        raise Invalid(f"{name} has more than {MOST_BYTES:,} bytes")
    return content


def _words(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _known(hashes: Mapping[str, str]) -> "hashing.Config":
    """A configuration of model-signing that takes hashes that are known."""
    from model_signing import hashing, manifest

    kind = manifest.SerializationType.from_args(
        {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [MANIFEST, SIGNATURE, WRITTEN_BY_MLFLOW]}
    )
    digests = {name: hashing.hashing.Digest("sha256", bytes.fromhex(one)) for name, one in hashes.items()}
    found = manifest.Manifest("version", [kind.new_item(name, one) for name, one in digests.items()], kind)

    class Known(hashing.Config):
        def hash(self, model_path, *, files_to_hash=None):
            return found

    return Known()
