"""The real Label Studio in an environment of its own, on this machine, with its SQLite: for the test of the tasks that we write.

with running(installed(folder), folder / "data", document_root) as studio:
    exported = studio.label(interface, tasks, storage, choose)
"""

import contextlib
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

VERSION = "1.23.2"
# Names an executable `label-studio` that is there already.
EXECUTABLE = "LABEL_STUDIO"
# Two hundred packages to install; some hundred migrations of its database at the first start.
INSTALL_SECONDS, START_SECONDS = 900, 300


class Unavailable(Exception):
    """The package index cannot be reached, or has no build for this machine; the message is pip's last line."""


def installed(folder: pathlib.Path) -> str:
    """The executable `label-studio`, installed below `folder` with its own interpreter's packages.

    Raises:
      Unavailable: it cannot be installed.
    """
    if EXECUTABLE in os.environ:
        return os.environ[EXECUTABLE]
    binaries = folder / "label-studio" / "bin"
    for command in ([sys.executable, "-m", "venv", folder / "label-studio"],
                    [binaries / "pip", "install", "--quiet", "--retries", "1", f"label-studio=={VERSION}"]):  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"it did not end in {INSTALL_SECONDS} seconds") from error
        if done.returncode:
            raise Unavailable(((done.stderr or done.stdout).strip().splitlines() or ["no reason given"])[-1])
    return str(binaries / "label-studio")


class Studio:
    """A running Label Studio: `call` sends a request to its API."""

    def __init__(self, address: str, token: str):
        self.address = address
        self.token = token

    def call(self, path: str, body: object = None) -> bytes:
        """The answer to GET, or to POST of `body` as JSON."""
        request = urllib.request.Request(self.address + path, None if body is None else json.dumps(body).encode(), {
            "Authorization": f"Token {self.token}", "Content-Type": "application/json"})  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()[:2000]}") from error

    def ask(self, path: str, body: object = None) -> object:
        """The answer as JSON."""
        return json.loads(self.call(path, body))

    def project(self, interface: str, tasks: list[dict], storage: pathlib.Path) -> int:
        """The id of a new project with this labelling interface, these tasks, and the folder that their photographs are in."""
        project = self.ask("/api/projects/", {"title": "photographs", "label_config": interface})["id"]
        self.ask("/api/storages/localfiles/", {"project": project, "path": str(storage), "use_blob_urls": True})
        counted = self.ask(f"/api/projects/{project}/import", tasks)
        assert counted["task_count"] == len(tasks), counted
        return project

    def tasks(self, project: int) -> list[dict]:
        """The tasks of a project, with their data and predictions, in the order of their ids."""
        listed = self.ask(f"/api/tasks?project={project}&page_size=1000&fields=all")["tasks"]
        return sorted(listed, key=lambda task: task["id"])

    def annotate(self, task: int, label: str | None) -> None:
        """Chooses a class; None skips the task."""
        result = [] if label is None else [
            {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}]  # fmt: skip
        self.ask(f"/api/tasks/{task}/annotations/", {"result": result, "was_cancelled": label is None})

    def export(self, project: int) -> bytes:
        """Every task of the project, labelled or not, in Label Studio's JSON."""
        return self.call(f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true")


@contextlib.contextmanager
def running(executable: str, data: pathlib.Path, document_root: pathlib.Path):
    """Yields a Studio that keeps everything below `data`, listens on this machine alone and serves files below `document_root`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(20)
    data.mkdir(parents=True)
    environment = os.environ | {
        "HOME": str(data), "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
        # Nothing is reported to anybody.
        "COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}  # fmt: skip
    command = [executable, "start", "--no-browser", "--data-dir", str(data), "--internal-host", "127.0.0.1", "--port", str(port),
               "--username", "someone@example.com", "--password", secrets.token_hex(8), "--user-token", token,
               "--enable-legacy-api-token"]  # fmt: skip
    with open(data / "log.txt", "wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True)  # fmt: skip
        try:
            studio, started = Studio(f"http://127.0.0.1:{port}", token), time.monotonic()
            while not _answers(studio):
                assert process.poll() is None and time.monotonic() < started + START_SECONDS, (data / "log.txt").read_text()[-3000:]
                time.sleep(1)
            yield studio
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _answers(studio: Studio) -> bool:
    try:
        studio.ask("/api/projects/")
        return True
    except (OSError, AssertionError, ValueError):
        return False
