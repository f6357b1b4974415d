"""Collects what older runs left below DIR. The caller holds the run lock.

Kept are, whatever the number of runs: what the newest finished run had from its nodes, since the next one is served from that; the
record of each run that a registered version came from or that a schedule counts; and everything below DIR/registry, which has its
own `prune`. An artifact is recorded as deleted before its folder goes, so that no cache serves it however the process ends.
"""

import dataclasses
import itertools
import os
import pathlib
import shutil
from collections.abc import Iterable, Set

from contracts.layout import Layout
from pipeline import metadata, run_record


@dataclasses.dataclass(frozen=True)
class Kind:
    """What is collected of one kind: `paths` with all below them, and their size in bytes."""

    title: str
    paths: tuple[pathlib.Path, ...]
    size: int


def plan(layout: Layout, keep: int, registered_by: Set[str]) -> list[Kind]:
    """What can go.

    Args:
      keep: the number of newest runs that keep everything, 1 or more.
      registered_by: ids of runs that a registered version came from.
    """
    records = run_record.read_all(layout)
    newest = {path.name for path in sorted(_folders(layout.root / "runs"))[-keep:]} | {layout.latest.resolve().name}
    finished = [one["run_id"] for one in records if one["status"] == "finished"]
    kept = newest | set(finished[-1:])
    wanted = {place for run_id in kept for one in metadata.executions(layout.metadata, run_id) for uri in one.outputs.values()
              for place in metadata.places(uri)}  # fmt: skip
    fingerprints = {(one.get("data") or {}).get("fingerprint") for one in records if one["run_id"] in kept}
    configured = [one["configuration"] for one in records if one["run_id"] in kept and one.get("configuration")]
    started = {one["pretrain"]["warm_start"]["backbone"] for one in configured}
    # NODE/OUTPUT/EXECUTION; TFX's own folders lie one deeper, in NODE/.system/.
    outputs = [path for path in layout.artifacts.glob("*/[!.]*/*") if _is_folder(path)]
    executions = {place[::2] for place in wanted}
    own = [path for path in layout.artifacts.glob("*/.system/*/*") if _is_folder(path) and (path.parts[-4], path.name) not in executions]
    lists = _by_age(layout.root.glob("photographs/*.npy"))
    return [
        _kind("outputs of nodes", [path for path in outputs if path.parts[-3:] not in wanted] + own),
        _kind("checkpoints", _by_age(_folders(layout.checkpoints))[:-keep]),
        _kind("networks that runs started from", [path for path in _folders(layout.starts) if str(path) not in started]),
        _kind("lists of photographs", [path for path in lists[:-keep] if path.stem not in fingerprints]),
        _kind("logs, pages and records of runs", itertools.chain.from_iterable(
            _of_run(folder, registered_by) for folder in _folders(layout.root / "runs") if folder.name not in kept)),
    ]  # fmt: skip


def carry_out(layout: Layout, kinds: Iterable[Kind]) -> None:
    """Removes what `plan` found.

    Raises:
      OSError: something cannot be removed; what was removed before is gone and recorded as such.
    """
    paths = [path for kind in kinds for path in kind.paths]
    metadata.forget(layout.metadata, {path.parts[-3:] for path in paths if path.is_relative_to(layout.artifacts)})
    for path in paths:
        if _is_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _of_run(folder: pathlib.Path, registered_by: Set[str]) -> list[pathlib.Path]:
    """What can go of a run that is not kept: its folder, or all but run.json where that is still read."""
    record = run_record.read(folder) or {}
    if folder.name in registered_by or record.get("schedule"):
        return [path for path in folder.iterdir() if path.name != "run.json"]
    return [folder]


def _kind(title: str, paths: Iterable[pathlib.Path]) -> Kind:
    found = tuple(sorted(paths))
    return Kind(title, found, sum(map(_size, found)))


def _size(path: pathlib.Path) -> int:
    if not _is_folder(path):
        return path.lstat().st_size
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)


def _folders(parent: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in parent.iterdir() if _is_folder(path)] if parent.is_dir() else []


def _is_folder(path: pathlib.Path) -> bool:
    return path.is_dir() and not path.is_symlink()  # what is behind a link is somebody else's


def _by_age(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime)
