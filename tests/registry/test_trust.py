"""A version is signed before it is there, and a version that was changed, or signed by a key that is not trusted, is not used."""

import base64
import json
import os
import shutil
import subprocess
import sys

import pytest

from contracts import files
from contracts.content_hash import content_hash
from registry import comparison, keys, lifecycle, publishing, reading, trust
from registry.backend import SIGNED_BY, RegistryError
from registry.mlflow_backend import MlflowBackend
from registry.signatures import PROVENANCE, SIGNATURE, WRITTEN_BY_MLFLOW
from registry.trust import Standing
from tests.registry.conftest import make_model


@pytest.fixture
def published(registry, candidate):
    """A registry with one version, the champion."""
    publishing.publish(registry, **candidate("a", data_fingerprint="f" * 64))
    return registry


@pytest.fixture(scope="module")
def once(tmp_path_factory, empty_registry):
    """A registry with one version, for many tests, and what its tags are."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copytree(empty_registry, folder / "registry")
    registry = MlflowBackend(str(folder / "registry"), "flowers-backbone")
    models = {name: make_model(folder / name, name) for name in ("backbone", "probe")}
    hashes = {f"{name}_hash": content_hash(path) for name, path in models.items()}
    publishing.publish(registry, **models, **hashes, tags={"accuracy": "0.61"}, judged_against=None, card="# Card\n")
    return registry, reading.champion(registry)


@pytest.fixture
def restored(once):
    """The registry of `once`, which a test may change."""
    registry, version = once
    kept = f"{registry.directory}.kept"
    shutil.copytree(version.path, kept)
    yield registry
    shutil.rmtree(version.path)
    shutil.move(kept, version.path)
    for name, text in version.tags.items():
        if reading.champion(registry).tags[name] != text:
            change_tag(registry, name, text)


def standing(registry, version="champion"):
    return trust.standing(registry, reading.get_version(registry, version))


def beside(registry, name, version="champion"):
    return os.path.join(reading.get_version(registry, version).path, name)


def change_tag(registry, name, text):
    registry.set_version_tag("1", name, text)


def as_another_key(registry):
    """Whoever can write the files, and has a key of their own, signs them."""
    version = reading.get_version(registry, "1")
    other = keys.signing_key(os.path.join(os.path.dirname(registry.directory), "others"), "")
    trust.sign_files(registry, version.path, trust._hashes(version), version.tags, "somebody", other)


def test_a_version_is_signed_with_what_the_registry_states_of_it(published):
    found = standing(published)
    assert (found.standing, found.differences) == (Standing.VERIFIED, ())
    assert found.signer == found.version.tags[SIGNED_BY]
    provenance = files.read_json(beside(published, PROVENANCE))["versions"]["flowers-backbone"]
    assert provenance["signed_by"] == "run run-a"
    assert provenance["tags"].items() >= {"accuracy": "0.61", "data_fingerprint": "f" * 64, "run_id": "run-a"}.items()


def test_the_signature_is_an_in_toto_statement_of_every_file_in_a_dsse_envelope(published):
    envelope = files.read_json(beside(published, SIGNATURE))["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://model_signing/signature/v1.0"
    signed = {one["name"]: one["digest"] for one in statement["predicate"]["resources"]}
    version = reading.champion(published)
    present = {os.path.relpath(os.path.join(folder, name), version.path) for folder, _, names in os.walk(version.path) for name in names}
    assert signed.keys() == present - {SIGNATURE, "manifest.json"}
    assert all(files.sha256(os.path.join(version.path, name)) == digest for name, digest in signed.items())


# It starts a process that imports the library.
@pytest.mark.slow
def test_the_library_s_own_command_verifies_a_version_without_this_project(published, tmp_path):
    def verify():
        (public,) = (tmp_path / "root" / "keys" / "trusted").iterdir()
        version = reading.champion(published).path
        return subprocess.run(
            [sys.executable, "-m", "model_signing", "verify", "key", version, "--signature", f"{version}/{SIGNATURE}",
             "--public_key", str(public)], cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip

    assert (done := verify()).returncode == 0, done.stderr
    write(beside(published, WRITTEN_BY_MLFLOW), "model_name: flowers-backbone\n")  # MLflow's client has loaded it meanwhile
    assert (done := verify()).returncode == 0, done.stderr
    with open(beside(published, "MODEL_CARD.md"), "a") as file:
        file.write("x")
    assert verify().returncode != 0


@pytest.mark.parametrize(
    ("change", "expected", "path", "problem"),
    [
        (lambda r: os.remove(beside(r, SIGNATURE)), Standing.TAMPERED, SIGNATURE, "missing: the version was signed by key"),
        (lambda r: os.remove(beside(r, PROVENANCE)), Standing.TAMPERED, SIGNATURE, "provenance.json is missing"),
        (lambda r: write(beside(r, SIGNATURE), "{"), Standing.TAMPERED, SIGNATURE, "not a signature"),
        (lambda r: write(beside(r, SIGNATURE), "[" * 100_000), Standing.TAMPERED, SIGNATURE, "not a signature"),
        (lambda r: write(beside(r, SIGNATURE), " " * 5_000_000), Standing.TAMPERED, SIGNATURE, "more than 4,000,000 bytes"),
        (lambda r: flip_in_envelope(r, "payload"), Standing.TAMPERED, SIGNATURE, "the signature does not fit"),
        (lambda r: flip_in_envelope(r, "sig"), Standing.TAMPERED, SIGNATURE, "the signature does not fit"),
        (lambda r: restate(r, accuracy="0.99"), Standing.TAMPERED, SIGNATURE, "the signature does not fit"),
        (lambda r: change_tag(r, "accuracy", "0.99"), Standing.TAMPERED, PROVENANCE, "accuracy is '0.61', the registry has '0.99'"),
        (lambda r: card_with_its_hashes(r), Standing.TAMPERED, SIGNATURE, "the signature does not fit"),
        (lambda r: as_another_key(r), Standing.ANOTHER_KEY, "", ""),
        (lambda r: strip(r), Standing.UNSIGNED, "", ""),
    ],
    ids=["removed", "no provenance", "cut", "deep", "long", "payload", "signature", "restated", "tag", "card and its hashes",
         "another key", "never signed"],
)  # fmt: skip
def test_unsigned_wrongly_signed_and_tampered_are_told_apart(restored, change, expected, path, problem):
    change(restored)
    found = standing(restored)
    assert found.standing is expected
    if path:
        assert found.differences[0].path == path and problem in found.differences[0].problem


def test_a_signature_of_another_version_is_not_this_one_s(published, candidate):
    publishing.publish(published, **candidate("b", judged_against="1"))
    for name in (SIGNATURE, PROVENANCE):
        shutil.copy(beside(published, name, "1"), beside(published, name, "2"))
    assert standing(published, "2").standing is Standing.TAMPERED


def test_only_what_nobody_changed_is_used(published, candidate, caplog):
    publishing.publish(published, **candidate("b", judged_against="1"))
    as_another_key(published)
    key = standing(published, "1").key
    for use in (
        lambda: trust.require_usable(published, reading.get_version(published, "1")),
        lambda: lifecycle.promote(published, "1", "a test", ""),
        lambda: lifecycle.rollback(published, "a test", "because"),
    ):
        with pytest.raises(RegistryError, match=rf"signed by key {key}, which is not among those that are trusted here.*keys/trusted"):
            use()
    assert reading.champion(published).version == "2"
    trust.require_usable(published, reading.get_version(published, "1"), unverified=True)
    assert "Used unverified, as asked: version 1 of flowers-backbone is signed by key" in caplog.text


def test_the_gate_refuses_a_champion_that_was_changed_and_passes_over_a_better_version_that_was(published, candidate):
    publishing.publish(published, **candidate("b", judged_against="1", accuracy="0.7"))
    lifecycle.promote(published, "1", "a test", "")
    assert comparison.champion_for_gate(published)["best"]["version"] == "2"
    published.set_version_tag("2", "accuracy", "0.9")
    assert "best" not in comparison.champion_for_gate(published)
    change_tag(published, "accuracy", "0.2")
    with pytest.raises(RegistryError, match="would be compared with a version that may not be used: version 1 .*give another --root"):
        comparison.champion_for_gate(published)
    assert comparison.champion_for_gate(published, unverified=True)["version"] == "1"


def test_a_version_that_was_never_signed_is_used_and_told_and_can_be_signed(published, caplog):
    strip(published)
    assert comparison.champion_for_gate(published)["version"] == "1"
    assert "version 1 of flowers-backbone is not signed" in caplog.text and "`flowers registry sign 1` signs it" in caplog.text
    before, now = trust.sign_version(published, "champion", "", "a test")
    assert (before.standing, now.standing) == (Standing.UNSIGNED, Standing.VERIFIED)
    assert files.read_json(beside(published, PROVENANCE))["versions"]["flowers-backbone"]["signed_by"] == "a test"


def test_a_damaged_version_is_not_signed(published):
    write(beside(published, "MODEL_CARD.md"), "# Another\n")
    with pytest.raises(RegistryError, match="not as it was registered .MODEL_CARD.md: 10 bytes"):
        trust.sign_version(published, "1", "", "a test")


def test_a_champion_published_again_keeps_its_signature_and_another_version_is_signed_with_its_new_tags(published, candidate):
    signature = files.sha256(beside(published, SIGNATURE))
    publishing.publish(published, **candidate("a", run="again"))
    assert files.sha256(beside(published, SIGNATURE)) == signature
    publishing.publish(published, **candidate("b", judged_against="1"), withheld="not proven to be better")
    publishing.publish(published, **candidate("b", judged_against="1", accuracy="0.63"), withheld="not proven to be better")
    assert reading.get_version(published, "2").tags["accuracy"] == "0.63"
    assert standing(published, "2").standing is Standing.VERIFIED


def test_a_damaged_champion_that_is_published_again_is_whole_and_signed(published, candidate):
    os.remove(beside(published, "backbone/saved_model.pb"))
    assert standing(published).standing is Standing.TAMPERED
    publishing.publish(published, **candidate("a", data_fingerprint="f" * 64))
    assert standing(published).standing is Standing.VERIFIED


def test_two_models_that_share_files_are_both_signed_and_nothing_forged_is_signed_with_them(published, candidate):
    other = MlflowBackend(published.directory, "other")
    publishing.publish(other, **candidate("a", accuracy="0.5"))
    assert reading.champion(other).path == reading.champion(published).path
    assert {standing(one).standing for one in (published, other)} == {Standing.VERIFIED}
    restate(published, accuracy="0.99")
    trust.sign_version(other, "1", "", "a test")
    assert standing(other).standing is Standing.VERIFIED and standing(published).standing is Standing.TAMPERED
    assert "states nothing of flowers-backbone" in standing(published).differences[0].problem


def test_keys_of_others_count_once_their_public_half_is_trusted_and_stay_when_the_own_key_is_lost(published, candidate, tmp_path):
    as_another_key(published)
    assert standing(published).standing is Standing.ANOTHER_KEY
    (public,) = (tmp_path / "root" / "others" / "trusted").iterdir()
    shutil.copy(public, tmp_path / "root" / "keys" / "trusted" / "a colleague.pem")
    assert standing(published).standing is Standing.VERIFIED
    os.remove(tmp_path / "root" / "keys" / "signing.pem")
    publishing.publish(published, **candidate("b", judged_against="1"))
    assert {standing(published, number).standing for number in "12"} == {Standing.VERIFIED}


def test_a_registry_that_moves_with_its_keys_stays_trusted_and_without_them_is_another_s(published, tmp_path):
    shutil.move(tmp_path / "root", tmp_path / "moved")
    assert standing(MlflowBackend(str(tmp_path / "moved" / "registry"), published.name)).standing is Standing.VERIFIED
    shutil.copytree(tmp_path / "moved" / "registry", tmp_path / "alone" / "registry")
    assert standing(MlflowBackend(str(tmp_path / "alone" / "registry"), published.name)).standing is Standing.ANOTHER_KEY


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def flip_in_envelope(registry, field):
    bundle = files.read_json(path := beside(registry, SIGNATURE))
    holder = bundle["dsseEnvelope"] if field == "payload" else bundle["dsseEnvelope"]["signatures"][0]
    content = bytearray(base64.b64decode(holder[field]))
    content[len(content) // 2] ^= 1
    holder[field] = base64.b64encode(bytes(content)).decode()
    files.write_json(path, bundle)


def restate(registry, **tags):
    """Somebody changes a tag in the registry and in the record of it."""
    provenance = files.read_json(path := beside(registry, PROVENANCE))
    provenance["versions"]["flowers-backbone"]["tags"] |= tags
    files.write_json(path, provenance)
    for name, text in tags.items():
        change_tag(registry, name, text)


def card_with_its_hashes(registry):
    """Somebody changes the card with every hash of it that the registry keeps."""
    write(beside(registry, "MODEL_CARD.md"), "# 99.9 %\n")
    size, digest = files.size_and_sha256(beside(registry, "MODEL_CARD.md"))
    manifest = files.read_json(path := beside(registry, "manifest.json"))
    manifest["files"]["MODEL_CARD.md"] = {"bytes": size, "sha256": digest}
    files.write_json(path, manifest)
    change_tag(registry, "card_sha256", digest)


def strip(registry):
    """As versions are that were registered before signatures existed."""
    os.remove(beside(registry, SIGNATURE))
    os.remove(beside(registry, PROVENANCE))
    change_tag(registry, SIGNED_BY, "")
