"""What is made once in a session of tests, by whichever worker needs it first, and used by all."""

import pathlib
import shutil
from collections.abc import Callable

import filelock


def session_folder(tmp_path_factory) -> pathlib.Path:
    """The folder of the whole session: pytest-xdist gives each worker one of its own below it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


def once(tmp_path_factory, name: str, make: Callable[[pathlib.Path], object]) -> pathlib.Path:
    """The session's folder `name`, filled by `make(folder)` when it is first asked for. Nobody changes it: who would, copies it."""
    folder = session_folder(tmp_path_factory) / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        made = folder.with_name(f"{name}.made")
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of another worker, where `make` failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
