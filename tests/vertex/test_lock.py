"""A lock in a bucket, by Google's own client over HTTP to a local server with generation preconditions."""

import threading
import time

import pytest

from vertex import GoogleCloudError, lock

ADDRESS = "gs://bucket/registry/lock"
QUICK = lock.Patience(look=0.01, renew=0.05, expire=0.5, wait=30)


def test_one_at_a_time_and_nothing_is_left(storage):
    inside, most = [], []

    def work():
        with lock.held("a-project", ADDRESS, QUICK):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1] and storage.objects == {}
    assert ("POST", 412) in storage.log  # they did meet


def test_a_lock_that_is_held_long_is_renewed_and_stays(storage):
    with lock.held("a-project", ADDRESS, QUICK):
        with pytest.raises(GoogleCloudError, match="another process has held gs://bucket/registry/lock"):
            with lock.held("a-project", ADDRESS, lock.Patience(look=0.01, renew=9, expire=0.5, wait=1.5)):
                pass
        assert len(storage.objects) == 1
    assert storage.objects == {}


def test_a_lock_whose_holder_died_is_taken_over(storage):
    storage.objects["registry/lock"] = {"name": "registry/lock", "generation": "7", "metageneration": "3"}
    with lock.held("a-project", ADDRESS, QUICK):
        assert storage.objects["registry/lock"]["generation"] != "7"
    assert storage.objects == {}


def test_an_error_inside_releases_it(storage):
    with pytest.raises(ZeroDivisionError), lock.held("a-project", ADDRESS, QUICK):
        raise ZeroDivisionError
    assert storage.objects == {}


def test_a_lock_that_somebody_else_has_taken_over_is_not_released(storage):
    with lock.held("a-project", ADDRESS, lock.Patience(renew=9)):
        storage.objects["registry/lock"]["generation"] = "8"
    assert storage.objects["registry/lock"]["generation"] == "8"
