"""Remote folders: each is listed by one request, many at the same time, and an error is never taken for an empty folder.

What TensorFlow's file systems report, they report as errors of TensorFlow; here they become sentences that say what to do.
"""

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import tensorflow as tf

from components.errors import SourceUnreachable
from components.example_gen.names import looks_like_a_photograph
from contracts.text import visible

# Requests that wait at the same time. A listing waits for the network and not for a processor: at 50 ms each, those of 1,000
# class folders take 3 s instead of 50 s.
LISTING_THREADS = 16
# Object stores have no folders, but beginnings of names; TensorFlow's file system for Google Cloud Storage lists them with a slash
# at the end, so that nothing else needs to be asked.
SCHEMES_WITH_SLASHES = ("gs://",)


class Listings:
    """What is in remote folders. Each folder is asked for once; `ahead` asks for more while others are looked at."""

    def __init__(self) -> None:
        """Starts no thread yet."""
        self._threads = ThreadPoolExecutor(LISTING_THREADS)
        self._asked: dict[str, Future] = {}

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        """Name of each entry of a folder, and whether it is a folder itself; sorted.

        Raises:
          SourceUnreachable: the folder cannot be listed.
        """
        self.ahead([folder])
        return self._asked[folder].result()

    def ahead(self, folders: Iterable[str]) -> None:
        """Asks for what is in `folders`, and does not wait."""
        for folder in folders:
            if folder not in self._asked:
                self._asked[folder] = self._threads.submit(_entries, folder)

    def forget(self, folder: str) -> None:
        """Gives back the memory that a folder's listing takes."""
        self._asked.pop(folder, None)


def is_folder(path: str) -> bool:
    """Whether there is a folder at a remote path.

    `tf.io.gfile.isdir` calls whatever it could not ask about no folder; this asks, and reports what came back.

    Raises:
      SourceUnreachable: that cannot be told: no permission, no credentials, no network.
    """
    try:
        with _explained(path):
            return tf.io.gfile.stat(path).is_directory
    except tf.errors.NotFoundError:
        return False


def exists(path: str) -> bool:
    """Whether there is a file or folder at a remote path.

    Raises:
      SourceUnreachable: that cannot be told: no permission, no credentials, no network.
    """
    try:
        with _explained(path):
            tf.io.gfile.stat(path)
    except tf.errors.NotFoundError:
        return False
    return True


def _entries(folder: str) -> list[tuple[str, bool]]:
    with _explained(folder):
        try:
            listed = tf.io.gfile.listdir(folder)
        except tf.errors.NotFoundError as error:  # it was there when the folder above was listed
            raise SourceUnreachable(f"{visible(folder)} is gone since the folder above it was listed; run again") from error
    names = sorted(filter(None, dict.fromkeys(listed)))
    return [(name.rstrip("/"), name.endswith("/") or _is_folder_by_name(folder, name)) for name in names if name.rstrip("/")]


def _is_folder_by_name(folder: str, name: str) -> bool:
    """Whether an entry that was listed without a slash is a folder; one named like an image is read as a file, or fails as one."""
    if folder.startswith(SCHEMES_WITH_SLASHES) or looks_like_a_photograph(name):
        return False
    return is_folder(f"{folder}/{name}")


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turns TensorFlow's errors, but for NotFoundError, into one that says what to do."""
    try:
        yield
    except tf.errors.NotFoundError:
        raise
    except tf.errors.OpError as error:
        raise SourceUnreachable(f"{visible(path)} cannot be read: {_advice(error)} ({visible(_first_line(error))})") from error


def _advice(error: tf.errors.OpError) -> str:
    # Google's answer to a request without credentials is 401; TensorFlow reports it like 403, as a missing permission.
    if isinstance(error, tf.errors.UnauthenticatedError) or "response code 401" in str(error) or "Anonymous caller" in str(error):
        return ("there are no credentials for it; `gcloud auth application-default login` makes them, or GOOGLE_APPLICATION_CREDENTIALS "
                "names a file of them")  # fmt: skip
    if isinstance(error, tf.errors.PermissionDeniedError):
        return "this account has no permission; whoever owns it can grant roles/storage.objectViewer"
    if isinstance(error, tf.errors.UnimplementedError):
        return "TensorFlow has no file system of this name; gs:// is Google Cloud Storage, and a mounted folder is a local path"
    return "it cannot be reached; check the network, and run again"


def _first_line(error: tf.errors.OpError) -> str:
    return (error.message or type(error).__name__).splitlines()[0][:200]
