"""Work that threads share, with results in order and in bounded memory."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def in_order(threads: ThreadPoolExecutor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """`map` by threads, in order, at most `ahead` items ahead of the results that were taken; `threads.map` takes all at once."""
    waiting = collections.deque()
    for item in items:
        waiting.append(threads.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
