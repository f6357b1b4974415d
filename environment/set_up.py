"""Makes .venv from the pinned lists, by a checked interpreter and before anything else is installed.

It installs exactly what requirements/ names, checked by hash. An interrupted set-up starts again; a complete one is kept until
its inputs change. A record in .venv, written last, says what it was made from.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
RECORD = VENV / "set-up.json"
# What the content of .venv depends on. runtime.txt is not among them: development.txt contains it.
INPUTS = ("pyproject.toml", "requirements/tools.txt", "requirements/development.txt", "environment/*.py")
# The platform of the wheels: TFX publishes two of its libraries only for glibc 2.39 and later, and glibc_backport makes these run
# on older systems.
PLATFORM = "x86_64-manylinux_2_40"


class SetUpFailed(Exception):
    """A step failed; the message says which."""


def interpreter_identity() -> dict[str, str]:
    """The interpreter, system and place that .venv is made for: if any of them changes, a new .venv is needed."""
    return {
        "executable": os.path.realpath(sys._base_executable),
        "version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "libc": os.confstr("CS_GNU_LIBC_VERSION") or "unknown",
        "project": str(ROOT),
    }


def inputs_digest() -> str:
    """SHA-256 of names and contents of INPUTS. Contents, not times: the same after a fresh checkout."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in INPUTS for path in ROOT.glob(pattern)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def wanted_record() -> dict:
    return {"interpreter": interpreter_identity(), "inputs": inputs_digest()}


def written_record() -> dict | None:
    """What the last complete set-up was made from; None if there was none or it was interrupted."""
    try:
        record = json.loads(RECORD.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def is_current(wish: str | None) -> bool:
    """Whether .venv, whose interpreter runs this, is complete, current and made with the interpreter `wish` (if given)."""
    record = written_record()
    if record is None or record != wanted_record():
        return False
    if wish is None:
        return True
    question = "import os, sys; print(os.path.realpath(sys._base_executable))"
    try:
        answer = subprocess.run([wish, "-c", question], check=False, capture_output=True, text=True)
    except OSError:  # there is no such interpreter: check_prerequisites.sh reports it
        return False
    return answer.returncode == 0 and answer.stdout.strip() == record["interpreter"]["executable"]


@contextlib.contextmanager
def only_one_at_a_time():
    """Locks this file, so that two `make` in one checkout set up one after the other."""
    with open(__file__) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is running here; waiting for it to end.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def say(message: str) -> None:
    print(message, flush=True)


def run(purpose: str, *command: str | Path) -> None:
    """Runs one step and shows its output. Raises SetUpFailed, naming the step, if its exit status is not 0."""
    status = subprocess.run([str(part) for part in command], check=False, cwd=ROOT, stdin=subprocess.DEVNULL).returncode
    if status != 0:
        raise SetUpFailed(f"Set-up could not {purpose} (exit status {status}; the messages are above). "
                          "Fix that and run the same command again.")  # fmt: skip


def make_venv() -> None:
    """An empty .venv with the installer and the build tools, checked against the hashes in tools.txt."""
    run("make .venv", sys.executable, "-m", "venv", "--clear", VENV)
    run("install uv", PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
        "--only-binary", ":all:", "-r", ROOT / "requirements" / "tools.txt")  # fmt: skip


def install_packages() -> None:
    """Makes .venv contain exactly what development.txt names. Sources are built with tools.txt's setuptools, not a newer one."""
    run("install the packages", VENV / "bin" / "uv", "pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes",
        "--no-build-isolation", "--python-platform", PLATFORM, ROOT / "requirements" / "development.txt")  # fmt: skip


def install_project() -> None:
    """The command `flowers`, and the project's modules importable from anywhere, as links to this checkout."""
    run("install the project", VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON, "--no-deps",
        "--no-build-isolation", "--editable", ROOT)  # fmt: skip


def set_up() -> None:
    wanted, written = wanted_record(), written_record()
    if wanted == written:
        return
    started = time.monotonic()
    keeps_venv = written is not None and written.get("interpreter") == wanted["interpreter"]
    RECORD.unlink(missing_ok=True)
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"Setting up .venv with Python {version} ({sys.executable}).")
    if not keeps_venv:
        make_venv()
    say("Installing the pinned packages (1 GB to download if nothing is cached; one to two minutes) ...")
    install_packages()
    run("prepare TFX's libraries for this system", PYTHON, "-m", "environment.glibc_backport")
    install_project()
    temporary = RECORD.with_suffix(".partial")
    temporary.write_text(json.dumps(wanted, indent=2) + "\n")
    os.replace(temporary, RECORD)
    say(f"Set-up finished in {time.monotonic() - started:.0f} s.")


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--is-current"]:
        return 0 if is_current(arguments[1] if len(arguments) > 1 else None) else 1
    try:
        with only_one_at_a_time():
            set_up()
    except SetUpFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Set-up was interrupted; run the same command to start it again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
