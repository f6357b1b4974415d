"""Keys: made once, readable by their owner alone, and refused in words."""

import os
import stat

import pytest
import tensorflow as tf
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from registry import keys
from registry.backend import RegistryError


def private(kind, password=None):
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return kind.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)


def test_the_first_signing_makes_a_key_that_only_its_owner_can_read_and_the_next_takes_it(tmp_path):
    umask = os.umask(0)
    try:
        made = keys.signing_key(str(tmp_path / "keys"), "")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o600
    assert keys.signing_key(str(tmp_path / "keys"), "") == made
    assert keys.trusted(str(tmp_path / "keys")) == {made.id: made.public}
    assert sorted(os.listdir(tmp_path / "keys")) == ["signing.pem", "trusted"]


def test_a_key_of_the_user_s_own_is_used_and_trusted_and_none_is_made(tmp_path):
    (tmp_path / "mine.pem").write_bytes(private(ec.generate_private_key(ec.SECP384R1())))
    key = keys.signing_key(str(tmp_path / "keys"), str(tmp_path / "mine.pem"))
    assert keys.trusted(str(tmp_path / "keys")).keys() == {key.id}
    assert os.listdir(tmp_path / "keys") == ["trusted"]


def test_in_a_bucket_no_key_is_made_and_one_there_is_read(tmp_path):
    assert keys.signing_key("ram://bucket/keys", "") is None
    assert not tf.io.gfile.exists("ram://bucket/keys")
    with tf.io.gfile.GFile("ram://secret/mine.pem", "wb") as file:
        file.write(private(ec.generate_private_key(ec.SECP256R1())))
    key = keys.signing_key("ram://bucket/keys", "ram://secret/mine.pem")
    assert keys.trusted("ram://bucket/keys") == {key.id: key.public}
    with keys.local_copy(key.path) as path:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must be a private key in PEM"),
        (b"\xff\x00 not a key", "must be a private key in PEM"),
        (private(ed25519.Ed25519PrivateKey.generate()), "another kind of key"),
        (private(ec.generate_private_key(ec.SECP256K1())), "it is of secp256k1"),
        (private(ec.generate_private_key(ec.SECP256R1()), b"password"), "without a password, and is not"),
    ],
    ids=["empty", "bytes", "another kind", "another curve", "password"],
)
def test_what_is_no_usable_key_is_refused_before_a_run_begins(tmp_path, content, problem):
    (tmp_path / "mine.pem").write_bytes(content)
    with pytest.raises(RegistryError, match=problem) as refused:
        keys.require_usable(str(tmp_path / "keys"), str(tmp_path / "mine.pem"))
    assert "mine.pem (registry.signing_key)" in str(refused.value) and "openssl ecparam" in str(refused.value)
    assert not (tmp_path / "keys").exists()


def test_a_missing_key_of_the_user_s_own_is_refused_and_not_made(tmp_path):
    with pytest.raises(RegistryError, match=r"no key at .*mine.pem; see registry.signing_key"):
        keys.require_usable(str(tmp_path / "keys"), str(tmp_path / "mine.pem"))


def test_a_key_of_this_dir_that_others_can_read_is_not_used(tmp_path):
    made = keys.signing_key(str(tmp_path / "keys"), "")
    os.chmod(made.path, 0o640)
    with pytest.raises(RegistryError, match="others than its owner can read: run `chmod 600 .*signing.pem`"):
        keys.signing_key(str(tmp_path / "keys"), "")


def test_a_trusted_file_that_is_no_public_key_is_named(tmp_path):
    made = keys.signing_key(str(tmp_path / "keys"), "")
    (tmp_path / "keys" / "trusted" / "note.txt").write_text("passed over")
    assert keys.trusted(str(tmp_path / "keys")).keys() == {made.id}
    with open(made.path, "rb") as file:
        (tmp_path / "keys" / "trusted" / "mistaken.pem").write_bytes(file.read())
    with pytest.raises(RegistryError, match=r"mistaken.pem must be a public key in PEM"):
        keys.trusted(str(tmp_path / "keys"))
