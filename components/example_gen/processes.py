"""Normalising by processes, one a core, for sources of so many photographs that these are worth starting.

Threads share Python's interpreter: on small photographs, where decoding takes a part of the time only, they wait for each other
(docs/scale.md has figures).

Processes are started anew, with libraries of their own: a fork of this process, in which TensorFlow's threads run, could hang. This
process works too, from the first moment. The others end when this one does, however that ends.
"""

import collections
import copy
import itertools
import math
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

import tensorflow as tf

from components.example_gen import folder
from components.example_gen.data_set import RecordFile
from components.example_gen.descriptions import Part
from components.example_gen.folder import Listed
from components.example_gen.normalise import Normalise
from contracts import interruption, memory
from contracts.cores import cores

# Photographs from which on processes save more time than their libraries take to load: some seconds, in which one core does thousands
# of the smallest (benchmarks/ingest_cores.py).
MANY = 10_000
NEW = multiprocessing.get_context("spawn")
# Bytes that the libraries of a process take for it alone (benchmarks/scale.py: 400 MB), and a photograph.
OF_A_PROCESS = 500e6


class ProcessEnded(RuntimeError):
    """A process that normalised was ended from outside."""


def worthwhile(photographs: int, elements: Sequence[Listed | RecordFile]) -> bool:
    """Whether processes are faster than threads: for many photographs, and elements of which each process can have one."""
    return photographs >= MANY and len(elements) >= min(cores(), folder.LISTS) and _number(elements) > 1


def _number(elements: Sequence[Listed | RecordFile]) -> int:
    """How many processes, this one included: one for each core and element, as far as memory has room for them."""
    return min(cores(), len(elements), 1 + int(memory.budget(math.inf) / OF_A_PROCESS))


def parts(elements: Sequence[Listed | RecordFile], step: Normalise) -> list[Part]:
    """What `step` makes of all elements, done by as many processes as there are cores, or have room.

    Raises:
      ProcessEnded: one was ended from outside, as the system does where memory is short.
    """
    count = _number(elements)
    shared = copy.copy(step)
    shared.processes, shared.alone = count, NEW.Lock()
    others, waiting = set(multiprocessing.active_children()), iter(elements)  # a list's iterator, which threads can share
    with ThreadPoolExecutor(count - 1) as asking:
        try:
            shares = [asking.submit(_share_of_another, waiting, process) for process in _started(count - 1, shared)]
            own = _share(waiting, copy.copy(shared))
            return list(itertools.chain(own, *(share.result() for share in shares)))
        except BaseException as error:
            collections.deque(waiting, 0)  # takes all that is left, so that the others end too
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            if not isinstance(error, BrokenProcessPool):
                raise
            interruption.check()  # what ends this process may have ended the others as well
            raise ProcessEnded("a process that reads photographs was ended from outside, as the system does where memory is short: give "
                               "the machine more memory, or fewer cores (taskset), or lower data.max_pixels") from error  # fmt: skip


def _share(elements: Iterator[Listed | RecordFile], step: Normalise) -> list[Part]:
    """The part that this process makes, of elements until none is left; none if there is nothing in them."""
    step.setup()
    try:
        step.start_bundle()
        for element in elements:
            step.process(element)
        return [one.value for one in step.finish_bundle()]
    finally:
        step.teardown()


def _started(count: int, step: Normalise) -> list[ProcessPoolExecutor]:
    """So many processes, each by itself.

    What multiprocessing starts anew imports the program first. A script of a user's would run again, and so fail, if it does not ask
    for its `__name__`; and nothing here is of the program. So there is none meanwhile.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        processes = [ProcessPoolExecutor(1, NEW, _begin, (step,)) for _ in range(count)]
        for one in processes:
            one.submit(os.getpid)  # the first thing to do starts the process
        return processes
    finally:
        sys.modules["__main__"] = program


def _share_of_another(elements: Iterator[Listed | RecordFile], process: ProcessPoolExecutor) -> list[Part]:
    """As `_share`, by another process, which ends then."""
    with process:
        try:
            begun = False
            for element in elements:
                process.submit(_add, element).result()
                begun = True
            return process.submit(_finish).result() if begun else []
        except BaseException:
            collections.deque(elements, 0)  # this process ends too, and then tells the error
            raise


# The step of a process that was started to make a part.
_step: Normalise | None = None


def _begin(step: Normalise) -> None:
    global _step
    tf.config.set_visible_devices([], "GPU")  # whose memory the first process to look at them takes
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all its processes; the first one decides
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process().sentinel,), daemon=True).start()
    _step = step
    _step.setup()
    _step.start_bundle()


def _add(element: Listed | RecordFile) -> None:
    _step.process(element)


def _finish() -> list[Part]:
    return [one.value for one in _step.finish_bundle()]


def _end_with(parent: int) -> None:
    connection.wait([parent])
    os._exit(1)
