import threading

import numpy as np
import pytest

from trainer import feeding


def test_the_next_batch_is_made_in_another_thread_while_one_is_used_and_no_further_one():
    made, here = [], threading.current_thread()
    ready = threading.Event()

    def place(number):
        assert threading.current_thread() is not here
        made.append(number)
        if len(made) == 2:
            ready.set()
        return 10 * number

    batches = feeding.ahead(((number,) for number in range(4)), place)
    assert next(batches) == 0
    assert ready.wait(10) and made == [0, 1]
    assert list(batches) == [10, 20, 30] and made == [0, 1, 2, 3]


def test_what_a_batch_cannot_be_made_of_is_raised_where_it_is_asked_for():
    def broken():
        yield (1,)
        raise OSError("the file is gone")

    batches = feeding.ahead(broken(), lambda number: number)
    assert next(batches) == 1
    with pytest.raises(OSError, match="the file is gone"):
        next(batches)


def test_the_thread_ends_with_who_asks():
    batches = feeding.ahead(((number,) for number in range(9)), lambda number: number)
    next(batches)
    before = threading.active_count()
    batches.close()
    assert threading.active_count() == before - 1


@pytest.mark.parametrize("parallel_bytes", [1, 10**9])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_rows_are_gathered_in_the_order_asked_for(monkeypatch, parallel_bytes, count):
    monkeypatch.setattr(feeding, "PARALLEL_BYTES", parallel_bytes)
    monkeypatch.setattr(feeding, "cores", lambda: 3)
    random = np.random.default_rng(count)
    rows = random.integers(0, 256, (9, 4, 4, 3), np.uint8)
    chosen = random.permutation(9)[:count]
    np.testing.assert_array_equal(feeding.gathered(rows, chosen), rows[chosen])
