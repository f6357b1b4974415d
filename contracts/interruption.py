"""Ends a process on SIGINT (Ctrl-C), SIGTERM (a machine that is taken away) or SIGHUP (a closed terminal) where the code chooses.

`listening` receives the signals and defers them. In a block of `released` they raise KeyboardInterrupt anywhere; uninterruptible
code inside it defers them again (`held`), such as a training step, and asks for them between steps (`check`). A second signal
ends the process at once; what is on disk stays. Signals belong to the main thread; in other threads all of this does nothing.
Where SIGHUP is ignored, as by nohup, it stays ignored.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# The exit status that shells report after Ctrl-C.
ENDED_AT_ONCE = 130


class _Listener:
    """The signal that was received first, and whether KeyboardInterrupt may be raised right now."""

    def __init__(self, first: Callable[[str], None], second: Callable[[], None]):
        self.first, self.second = first, second
        self.received: str | None = None
        self.interruptible = False

    def handle(self, number: int, frame) -> None:
        del frame
        if self.received is not None:
            if number == signal.SIGHUP:  # a terminal that closes sends it, and so does the shell in it: nobody asks twice
                return
            self.second()
            os._exit(ENDED_AT_ONCE)
        self.received = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self.first(self.received)
        if self.interruptible:
            raise KeyboardInterrupt(self.received)


_listener: _Listener | None = None


@contextlib.contextmanager
def listening(first: Callable[[str], None] = lambda name: None, second: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Receives SIGNALS during the block and defers them. Inside another `listening` it changes nothing.

    Args:
      first: called with "Ctrl-C", "SIGTERM" or "SIGHUP" when the first signal arrives, inside the signal handler: it must be safe
        between any two instructions of the program.
      second: called when another arrives, before the process ends at once.
    """
    global _listener
    if _listener is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _listener = _Listener(first, second)
    wanted = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _listener.handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _listener = None


@contextlib.contextmanager
def released() -> Iterator[None]:
    """Lets a signal raise KeyboardInterrupt anywhere in the block; one that came earlier raises it at once."""
    check()
    with _interruptible(True):
        yield


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Defers signals during the block, listening if nothing else does; one that came raises KeyboardInterrupt at the end."""
    with listening():
        with _interruptible(False):
            yield
        check()


def requested() -> str | None:
    """What asked the process to end, "Ctrl-C", "SIGTERM" or "SIGHUP"; None if nothing did."""
    return _listener.received if _listener is not None else None


def check() -> None:
    """Raises KeyboardInterrupt if the process was asked to end, also where signals are deferred."""
    if requested():
        raise KeyboardInterrupt(requested())


@contextlib.contextmanager
def _interruptible(value: bool) -> Iterator[None]:
    if _listener is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _listener.interruptible = _listener.interruptible, value
    try:
        yield
    finally:
        _listener.interruptible = before
