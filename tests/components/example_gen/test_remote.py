"""Remote folders: how many requests they cost, that they are asked together, and what a failing one says. No network is used."""

import collections
import threading

import pytest
import tensorflow as tf

from components.errors import SourceNotFound, SourceUnreachable
from components.example_gen import remote
from components.example_gen.folder import open_folder, unlabelled_folder
from components.example_gen.listing import Candidate, list_any, read

CLASSES, PER_CLASS = ("daisy", "iris", "rose", "tulip"), 25
ASKING = ("isdir", "listdir", "exists", "stat", "walk", "glob")


class Bucket:
    """What TensorFlow's file system for Google Cloud Storage answers: folders are listed with a slash at their end."""

    def __init__(self, *paths: str) -> None:
        self.paths, self.requests = [f"gs://photographs/{path}" for path in paths], collections.Counter()
        self.failing: dict[str, Exception] = {}

    def answer(self, name: str, path: str) -> list[str]:
        """The paths below `path`, or the error that was asked for."""
        self.requests[name] += 1
        if path in self.failing:
            raise self.failing[path]
        below = [one[len(path.rstrip("/")) + 1:] for one in self.paths if one.startswith(f"{path.rstrip('/')}/")]  # fmt: skip
        if not below and path not in self.paths:
            raise tf.errors.NotFoundError(None, None, f"The folder {path} does not exist")
        return below

    def listdir(self, path: str) -> list[str]:
        """The entries of a folder; its own marker, an empty name, is among them."""
        below = self.answer("listdir", path)
        return ["", *dict.fromkeys(f"{one.split('/')[0]}/" if "/" in one else one for one in below)]

    def stat(self, path: str) -> object:
        """Only whether it is a folder."""
        return type("Stat", (), {"is_directory": bool(self.answer("stat", path))})


@pytest.fixture
def bucket(monkeypatch):
    """gs://photographs with CLASSES in `train/` and `eval/`, and a second folder."""
    found = Bucket(
        *(f"{split}/{name}/{index:03}.jpg" for split in ("train", "eval") for name in CLASSES for index in range(PER_CLASS)),
        *(f"more/{month}/{index}.jpg" for month in ("may", "june") for index in range(PER_CLASS)),
    )  # fmt: skip
    monkeypatch.setattr(tf.io.gfile, "listdir", found.listdir)
    monkeypatch.setattr(tf.io.gfile, "stat", found.stat)
    for name in set(ASKING) - {"listdir", "stat"}:
        monkeypatch.setattr(tf.io.gfile, name, lambda *_, name=name: pytest.fail(f"tf.io.gfile.{name} was asked"))
    return found


def test_a_bucket_is_listed_with_one_request_a_folder(bucket):
    folder = open_folder("gs://photographs", 0.15)
    assert folder.classes == CLASSES
    assert len(folder.candidates) == 2 * len(CLASSES) * PER_CLASS
    assert {candidate.location for candidate in folder.candidates} == {one for one in bucket.paths if "/more/" not in one}
    # Whether the source is there; then its top, two splits, `more` which could have been one, the classes, and what was read ahead.
    folders = 1 + 2 + 1 + 2 * len(CLASSES) + 2
    assert bucket.requests["stat"] == 1
    assert bucket.requests["listdir"] <= folders
    bucket.requests.clear()
    assert len(unlabelled_folder("gs://photographs/more").candidates) == 2 * PER_CLASS
    assert bucket.requests == {"stat": 1, "listdir": 3}
    bucket.requests.clear()
    assert sum(1 for _ in list_any("gs://photographs/train/")) == len(CLASSES) * PER_CLASS
    assert bucket.requests == {"stat": 1, "listdir": 1 + len(CLASSES)}


def test_other_file_systems_are_asked_only_about_what_has_no_ending_of_an_image(monkeypatch):
    """`ram://` lists folders without a slash, as TensorFlow's interface has it."""
    for index in range(60):
        folder = f"ram://counted/{CLASSES[index % 3]}/2026"
        tf.io.gfile.makedirs(folder)
        with tf.io.gfile.GFile(f"{folder}/{index}.JPEG", "wb") as file:
            file.write(bytes([index]))
    requests = collections.Counter()
    for name in ASKING:
        ask = getattr(tf.io.gfile, name)
        monkeypatch.setattr(tf.io.gfile, name, lambda *args, name=name, ask=ask: (requests.update([name]), ask(*args))[1])
    assert len(open_folder("ram://counted", 0.15).candidates) == 60
    assert requests == {"stat": 1 + 3 + 3, "listdir": 1 + 3 + 3}


def test_a_large_file_is_not_read_to_its_end_and_costs_no_request_for_its_size(monkeypatch):
    tf.io.gfile.makedirs("ram://large/rose")
    with tf.io.gfile.GFile("ram://large/rose/0.jpg", "wb") as file:
        file.write(bytes(1000))
    monkeypatch.setattr(tf.io.gfile, "stat", lambda _: pytest.fail("its size was asked"))
    candidate = Candidate("0.jpg", "rose", "", "ram://large/rose/0.jpg")
    assert read(candidate, 1000).data == bytes(1000)
    assert (read(candidate, 999).data, read(candidate, 999).detail) == (b"", "at most 999 bytes are read")


def test_folders_are_listed_at_the_same_time(bucket, monkeypatch):
    together, listdir = threading.Barrier(len(CLASSES), timeout=60), bucket.listdir

    def wait_for_the_others(path):
        if path.rsplit("/", 1)[1] in CLASSES:
            together.wait()  # breaks, and fails the test, if they are asked one after the other
        return listdir(path)

    monkeypatch.setattr(tf.io.gfile, "listdir", wait_for_the_others)
    assert sum(1 for _ in list_any("gs://photographs/train")) == len(CLASSES) * PER_CLASS


FAILURES = [
    (tf.errors.PermissionDeniedError, "HTTP response code 403", "this account has no permission; .*roles/storage.objectViewer"),
    (tf.errors.PermissionDeniedError, "HTTP response code 401 with body 'Anonymous caller'", "no credentials.*gcloud auth"),
    (tf.errors.UnauthenticatedError, "no token", "no credentials.*GOOGLE_APPLICATION_CREDENTIALS"),
    (tf.errors.UnavailableError, "503", "cannot be reached; check the network, and run again"),
    (tf.errors.AbortedError, "All 10 retry attempts failed", "cannot be reached"),
    (tf.errors.UnimplementedError, "File system scheme 's3' not implemented", "TensorFlow has no file system of this name"),
]


@pytest.mark.parametrize(("kind", "message", "advice"), FAILURES, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.parametrize("at", ["gs://photographs", "gs://photographs/train/rose"])
def test_a_failed_request_is_no_missing_folder_and_no_missing_class(bucket, kind, message, advice, at):
    bucket.failing[at] = kind(None, None, f"{message}\n  a second line \x1b[2J")
    with pytest.raises(SourceUnreachable, match=f"{at} cannot be read: .*{advice}.*") as error:
        open_folder("gs://photographs", 0.15)
    assert "second line" not in str(error.value)
    with pytest.raises(SourceUnreachable, match=advice):
        list(list_any("gs://photographs"))


def test_a_folder_that_is_not_there_is_called_so(bucket):
    with pytest.raises(SourceNotFound, match="there is no folder 'gs://photographs/nowhere'") as error:
        open_folder("gs://photographs/nowhere", 0.15)
    assert not isinstance(error.value, SourceUnreachable)
    with pytest.raises(SourceNotFound, match="there is no folder or file"):
        list(list_any("gs://photographs/nowhere"))
    assert not remote.is_folder("gs://photographs/train/rose/000.jpg")
    assert remote.exists("gs://photographs/train/rose/000.jpg")


def test_a_scheme_that_tensorflow_does_not_know_is_said():
    with pytest.raises(SourceUnreachable, match="nosuch://place/photographs cannot be read: TensorFlow has no file system of this name"):
        open_folder("nosuch://place/photographs", 0.15)
