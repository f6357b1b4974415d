"""One hash for a directory's content, by which blessing, probe, backbone and registry version are matched."""

import hashlib
import posixpath

from contracts.files import sha256


def content_hash(directory: str) -> str:
    """SHA-256 (hex) over the relative paths and bytes of all files below `directory`, local or remote.

    Each file contributes its path (`/`-separated, in sorted order), its SHA-256 and a newline, so that renaming or moving a file,
    or shifting bytes from one file to the next, changes the hash. Empty directories do not count.

    Raises:
      FileNotFoundError: `directory` does not exist or holds no file.
    """
    import tensorflow as tf  # here, so that importing this module stays cheap

    names = sorted(
        posixpath.relpath(posixpath.join(folder, name), directory) for folder, _, files in tf.io.gfile.walk(directory) for name in files
    )
    if not names:
        raise FileNotFoundError(f"no file to hash below {directory}")
    total = hashlib.sha256()
    for name in names:
        total.update(f"{name}\0{sha256(posixpath.join(directory, name))}\n".encode())
    return total.hexdigest()
