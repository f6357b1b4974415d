"""The keys with which versions are signed, and those whose signatures count. They stand beside the registry's folder, not in it, so
that whoever is given the registry's files is not given the key.

    DIR/keys/signing.pem          the private key of this DIR: made at the first push, and only its owner may read it
    DIR/keys/trusted/KEY.pem      public keys, which anybody may read: a signature counts if one of them made it

Keys are of the curve P-256, P-384 or P-521 in PEM, without a password, as `openssl ecparam` and model-signing have them. A key is
known by the SHA-256 (hex) of its public half in PEM, which is what model-signing writes beside a signature.
"""

import contextlib
import hashlib
import os
import posixpath
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from contracts import files
from registry.backend import RegistryError

SIGNING_KEY = "signing.pem"
TRUSTED = "trusted"
SUFFIX = ".pem"
SETTING = "registry.signing_key"
# Those that model-signing supports, by OpenSSL's names.
CURVES = ("secp256r1", "secp384r1", "secp521r1")
# Digits of a key's id that are shown and that name its file: 64 bits, which nobody finds a second key for by chance.
SHOWN = 16


@dataclass(frozen=True)
class SigningKey:
    """A private key's address, local or remote, the key's id, and its public half in PEM."""

    path: str
    id: str
    public: bytes


def signing_key(directory: str, setting: str) -> SigningKey | None:
    """The key to sign with: the user's own, or that of this DIR, which is made if there is none. Its public half is trusted from then.

    Args:
      directory: `Backend.keys`.
      setting: pipeline_config.Registry.signing_key.

    Returns:
      None where there is no key and none is made: a bucket is no place for a private key.

    Raises:
      RegistryError: the file is no private key of CURVES, has a password, is missing, or others may read the one of this DIR.
    """
    if not setting and "://" in directory:
        return None
    path = setting or os.path.join(directory, SIGNING_KEY)
    if not setting and not os.path.exists(path):
        _make(path)
    key = read_private(path, own=not setting)
    public = posixpath.join(directory, TRUSTED, key.id[:SHOWN] + SUFFIX)
    if directory and key.id not in trusted(directory):
        with files.written(public) as file:
            file.write(key.public)
    return key


def require_usable(directory: str, setting: str) -> None:
    """Returns if a version can be signed: at the beginning of a run, which would otherwise be lost at its end. Makes nothing.

    Raises:
      RegistryError: as `signing_key`.
    """
    path = setting or os.path.join(directory, SIGNING_KEY)
    if setting or os.path.exists(path):
        read_private(path, own=not setting)


def trusted(directory: str) -> dict[str, bytes]:
    """The public keys (PEM) whose signatures count, by id. Other files are passed over.

    Raises:
      RegistryError: a file that ends in .pem is no public key of CURVES.
    """
    import tensorflow as tf

    folder = posixpath.join(directory, TRUSTED)
    if not directory or not tf.io.gfile.isdir(folder):
        return {}
    names = sorted(name for name in tf.io.gfile.listdir(folder) if name.endswith(SUFFIX))
    return dict(read_public(posixpath.join(folder, name)) for name in names)


def read_public(path: str) -> tuple[str, bytes]:
    """The id and the PEM of a file with a public key.

    Raises:
      RegistryError: it is missing, or is no public key of CURVES.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return _known_by(load_pem_public_key(_content(path)))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RegistryError(
            f"{path} must be a public key in PEM of the curve P-256, P-384 or P-521, and is not ({error}); `openssl ec -in KEY.pem "
            "-pubout` writes the public half of a key"
        ) from error


def read_private(path: str, own: bool) -> SigningKey:
    """A private key; `own` is for that of a DIR, which only its owner may be able to read.

    Raises:
      RegistryError: as `signing_key`.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if own and stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        raise RegistryError(
            f"{path} is a private key that others than its owner can read: run `chmod 600 {path}`, or, where the file system has "
            f"no modes, set {SETTING} to a key elsewhere"
        )
    try:
        return SigningKey(path, *_known_by(load_pem_private_key(_content(path), password=None).public_key()))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: there is a password
        raise RegistryError(
            f"{path} ({SETTING}) must be a private key in PEM of the curve P-256, P-384 or P-521 without a password, and is not "
            f"({error}); `openssl ecparam -name prime256v1 -genkey -noout -out KEY.pem` makes one"
        ) from error


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """A path at which a file can be opened: its own or, of a remote one, that of a copy that only this user can read, for the block."""
    if "://" not in path:
        yield path
        return
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(_content(path))
        copy.flush()
        yield copy.name


def _content(path: str) -> bytes:
    try:
        with files.opened(path) as file:
            return file.read()
    except FileNotFoundError as error:
        raise RegistryError(f"there is no key at {path}; see {SETTING} in docs/registry.md") from error


def _known_by(public: object) -> tuple[str, bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    curve = getattr(getattr(public, "curve", None), "name", "another kind of key")
    if curve not in CURVES:
        raise ValueError(f"it is of {curve}")
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest(), pem


def _make(path: str) -> None:
    """Writes a new key of P-256, with mode 600 from its first byte on, whatever the umask."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    unfinished = f"{path}{files.UNFINISHED}"
    with contextlib.suppress(FileNotFoundError):
        os.remove(unfinished)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
