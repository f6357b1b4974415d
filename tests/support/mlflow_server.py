"""A real MLflow server with its artifact proxy, on localhost, that can be killed and started again."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from tiny import PATIENCE_SECONDS


class MlflowServer:
    """`mlflow server --serve-artifacts` on a free port, with a database on SQLite and artifacts in `folder`."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.artifacts = folder, folder / "artifacts"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
                   "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}",
                   "--serve-artifacts", "--artifacts-destination", str(self.artifacts)]  # fmt: skip
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)  # fmt: skip
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                with urllib.request.urlopen(f"{self.address}/health", timeout=5):
                    return
            assert self.process.poll() is None and time.monotonic() < until, (self.folder / "log.txt").read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """Kills it with all its processes, as a machine that loses its power."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
