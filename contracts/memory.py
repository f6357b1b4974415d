"""How much memory this process may use, which is what it was given and not what the machine has, and when it gives some back."""

import contextlib
import ctypes
import gc
import pathlib
from collections.abc import Iterator

from contracts import control_groups
from contracts.cores import cores

# Of what a process may use, libraries, a training step and batches that are being read need the other half.
SHARE = 0.5

# Blocks of so many bytes are given back. Arrays of photographs and features come in blocks of 4 MB and more; Pillow takes 1 MB
# at a time for a picture, which should stay.
GIVEN_BACK = 2 << 20
# Those that a training step takes and frees in the same sizes, again and again, stay, as far as glibc would ever keep them: mallopt(3),
# DEFAULT_MMAP_THRESHOLD_MAX where a long has 8 bytes.
KEPT = 32 << 20
# Arenas of malloc for each core. A training step takes as long with two as with eight (5.98 and 6.03 ms an image,
# benchmarks/variants.py --epochs 1), and 1 % longer with one.
ARENAS = 2
# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


def limit(files: pathlib.Path = pathlib.Path("/")) -> int:
    """Bytes: the machine's memory, or less where the limit of a container or a service is less.

    The limit of every control group above the process's own holds too (Linux, admin-guide/cgroup-v2, `memory.max`; cgroup-v1/memory,
    `memory.limit_in_bytes`). What cannot be read does not count: without all of them it is that of the machine.

    Args:
      files: where /proc and /sys are.
    """
    return min([of_machine(files), *_limits(files)])


def of_machine(files: pathlib.Path = pathlib.Path("/")) -> int:
    """Bytes that the machine has."""
    return _stated(files, "MemTotal")


def available(files: pathlib.Path = pathlib.Path("/")) -> int:
    """Bytes that can still be used: what the machine has free or can free, or less where the limit is less."""
    return min([_stated(files, "MemAvailable"), *_limits(files)])


def budget(wanted: float, files: pathlib.Path = pathlib.Path("/")) -> float:
    """Bytes that something may take for itself: those `wanted`, but at most SHARE of the limit."""
    return min(wanted, SHARE * limit(files))


def _stated(files: pathlib.Path, name: str) -> int:
    lines = dict(line.split(":", 1) for line in (files / "proc/meminfo").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024  # stated in kB, which are 1,024 bytes (Linux, filesystems/proc)


def _limits(files: pathlib.Path) -> list[int]:
    found = []
    for version, folder in control_groups.folders("memory", files):
        try:
            # "max", or without a limit in version 1 a number that no machine has.
            found.append(int((folder / ("memory.limit_in_bytes" if version == 1 else "memory.max")).read_text()))
        except (OSError, ValueError):
            continue
    return found


def give_back(blocks: int = GIVEN_BACK) -> None:
    """From now on this process gives memory back to the system when a block of so many bytes or more is freed; what is free, at once.

    Objects that refer to each other in a circle are freed first if nothing else refers to them: networks and graphs do, 15 to 40 MB after
    each of the nodes that have some.

    The C library begins like that, with 128 kB, but goes up to KEPT with the blocks that it sees freed (mallopt(3), M_MMAP_THRESHOLD). What
    lay between objects that live longer then stays with the process: a run of 100,000 photographs had 160 MB of that at its end.
    Threads share ARENAS for each core instead of eight, as each keeps what was freed in it.
    C libraries other than glibc have no such settings, and are left as they are.
    """
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_ARENA_MAX, ARENAS * cores())
        library.mallopt(M_MMAP_THRESHOLD, blocks)
        library.mallopt(M_TRIM_THRESHOLD, 2 * blocks)  # as the C library does when it raises the other
        library.malloc_trim(0)


@contextlib.contextmanager
def kept_for_reuse() -> Iterator[None]:
    """While this lasts, smaller blocks than KEPT stay with the process: a page that is new to it has to be cleared each time."""
    give_back(KEPT)
    try:
        yield
    finally:
        give_back()


@contextlib.contextmanager
def present_objects_kept() -> Iterator[None]:
    """While this lasts, objects that there are already are not looked at by a search for circles: with those of the libraries, 680,000,
    each search takes 0.4 s."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
