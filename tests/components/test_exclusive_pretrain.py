"""Two pre-trainings of the same checkpoints, by Google's client against a local server with generation preconditions."""

import os
import threading

import pytest

from components import exclusive_pretrain
from components.exclusive_pretrain import CheckpointsInUse, alone_in
from vertex import lock

FOLDER = "gs://bucket/checkpoints/0123456789abcdef"
QUICK = lock.Patience(look=0.01, renew=0.05, expire=0.4, wait=1.0)


def test_the_second_ends_with_an_error_that_says_what_to_do(storage):
    with alone_in(FOLDER, "a-project", QUICK):
        with pytest.raises(CheckpointsInUse, match=f"another run pre-trains with the same .* the checkpoints in {FOLDER}; start this one"):
            with alone_in(FOLDER, "a-project", QUICK):
                pytest.fail("both train")
        with alone_in(f"{FOLDER}0", "a-project", QUICK):  # of other settings
            assert sorted(storage.objects) == ["checkpoints/0123456789abcdef.lock", "checkpoints/0123456789abcdef0.lock"]
    assert storage.objects == {}


def test_the_second_goes_on_where_the_first_ends_meanwhile(storage):
    inside, order = threading.Event(), []

    def first():
        with alone_in(FOLDER, "a-project", QUICK):
            inside.set()
            threading.Event().wait(0.2)
            order.append("first ends")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with alone_in(FOLDER, "a-project", QUICK):
        order.append("second begins")
    thread.join()
    assert order == ["first ends", "second begins"]


def test_a_worker_that_was_taken_away_does_not_lock_itself_out(storage):
    storage.objects["checkpoints/0123456789abcdef.lock"] = {
        "name": "checkpoints/0123456789abcdef.lock", "generation": "7", "metageneration": "3"}  # fmt: skip
    with alone_in(FOLDER, "a-project", QUICK):
        assert storage.objects["checkpoints/0123456789abcdef.lock"]["generation"] != "7"
    assert exclusive_pretrain.PATIENCE.wait > 2 * exclusive_pretrain.PATIENCE.expire


def test_a_process_whose_lock_was_taken_over_ends_at_once(storage, monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(os, "_exit", lambda status: ended.set() if status == 1 else None)
    with alone_in(FOLDER, "a-project", QUICK):
        storage.objects["checkpoints/0123456789abcdef.lock"]["generation"] = "8"
        assert ended.wait(30)


def test_a_folder_of_this_machine_needs_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "held", lambda *arguments: pytest.fail("a lock"))
    with alone_in(str(tmp_path), "a-project"):
        pass
