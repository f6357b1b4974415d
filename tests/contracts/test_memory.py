"""Promises of memory: the limits of control groups, both versions, seen from inside and outside of a container."""

import gc
import subprocess
import sys
import weakref

import pytest
from limited import system

from contracts import memory
from contracts.cores import cores

MEMINFO = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    6000000 kB\n"
TOTAL, AVAILABLE = 8_192_000_000, 6_144_000_000


@pytest.mark.parametrize(("groups", "files", "expected"), [
    ("0::/\n", {"memory.max": "2147483648\n"}, 2_147_483_648),  # in a container
    ("0::/\n", {"memory.max": "max\n"}, TOTAL),
    ("0::/a.slice/b.scope\n", {"a.slice/memory.max": "1000000\n", "a.slice/b.scope/memory.max": "max\n"}, 1_000_000),  # of one above
    ("0::/a.slice\n", {"a.slice/memory.max": "99000000000\n"}, TOTAL),  # more than there is
    ("4:cpu:/docker/f00\n2:memory:/docker/f00\n", {"memory/memory.limit_in_bytes": "4000000\n"}, 4_000_000),
    ("2:memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, TOTAL),  # version 1 without a limit
    ("0::/\n", {"memory.max": "what\n"}, TOTAL),
    ("0::/\n", {}, TOTAL),
])  # fmt: skip
def test_the_least_of_machine_and_limits_counts(tmp_path, groups, files, expected):
    found = system(tmp_path, groups, files, MEMINFO)
    assert memory.limit(found) == expected
    assert memory.available(found) == min(expected, AVAILABLE)
    assert memory.budget(100, found) == 100
    assert memory.budget(1e12, found) == expected / 2


def test_without_control_groups_the_machine_counts(tmp_path):
    (system(tmp_path, "", {}, MEMINFO) / "proc/self/cgroup").unlink()
    assert memory.limit(tmp_path) == memory.of_machine(tmp_path) == TOTAL


# 40 blocks of 4 MB between small ones that stay, all freed, after a larger one was freed, which makes glibc keep blocks as large.
FREED = """
import ctypes, pathlib
from contracts import memory
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes, library.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def taken(size):
    block = library.malloc(size)
    ctypes.memset(block, 1, size)
    return block
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
{}
library.free(taken(20 << 20))
before = resident()
blocks = [(taken(4 << 20), taken(100_000)) for _ in range(40)]
for block, _ in blocks:
    library.free(block)
print(resident() - before)
"""


def kept_after(*lines):
    return int(subprocess.run([sys.executable, "-c", FREED.format("\n".join(lines))], check=True, capture_output=True).stdout)


def test_blocks_that_are_freed_between_others_are_given_back():
    assert kept_after("memory.give_back()") < 8 << 20
    assert kept_after("with memory.kept_for_reuse(): pass") < 8 << 20


def test_a_training_step_keeps_its_blocks():
    assert kept_after("training = memory.kept_for_reuse()", "training.__enter__()") > 100 << 20


def test_arrows_memory_is_the_c_librarys_which_gives_it_back():
    import pyarrow

    assert pyarrow.default_memory_pool().backend_name == "system"


class Circle:
    def __init__(self):
        self.itself = self


@pytest.fixture
def without_searches():
    """Python looks for circles only when it is asked to."""
    gc.disable()
    yield
    gc.enable()


def test_what_refers_only_to_itself_is_freed(without_searches):
    circle = weakref.ref(Circle())
    assert circle() is not None
    memory.give_back()
    assert circle() is None


def test_circles_that_come_while_present_objects_are_kept_are_freed_and_those_from_before_afterwards(without_searches):
    before = [Circle()]
    with memory.present_objects_kept():
        circle, early = weakref.ref(Circle()), weakref.ref(before.pop())
        memory.give_back()
        assert (circle() is None, early() is None) == (True, False)
    memory.give_back()
    assert early() is None
    assert gc.get_freeze_count() == 0


# Twenty threads that allocate at the same time, and what the C library has then, as XML.
THREADS = """
import ctypes, threading
from contracts import memory
memory.give_back()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
together = threading.Barrier(20)
def allocate():
    together.wait()
    library.malloc(100_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library.malloc_info(0, ctypes.c_void_p(library.fopen(b"/dev/stdout", b"w")))
library.fflush(None)
"""


def test_threads_share_few_arenas():
    said = subprocess.run([sys.executable, "-c", THREADS], check=True, capture_output=True, text=True).stdout
    assert 1 <= said.count("<heap nr=") <= memory.ARENAS * cores()
