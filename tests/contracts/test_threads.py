"""Results in order, and no more work than was asked for."""

from concurrent.futures import ThreadPoolExecutor

from contracts.threads import in_order


def test_results_are_in_order_and_items_are_taken_when_they_are_needed():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    with ThreadPoolExecutor(3) as threads:
        results = in_order(threads, lambda item: item**2, items(), ahead=4)
        assert next(results) == 0 and len(taken) == 5
        assert list(results) == [item**2 for item in range(1, 100)]
    assert taken == list(range(100))
