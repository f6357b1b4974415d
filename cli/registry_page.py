"""`flowers registry ui`: MLflow's own page of a registry, served to this machine only."""

import os
import pathlib
import socket
import sys

from pipeline_config import require
from registry import mlflow_backend, schema

# MLflow's own default.
PORT = 5000
HOST = "127.0.0.1"

ENVIRONMENT = {
    # No usage reports from server or page.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow's background jobs evaluate language models: useless here, and they start processes.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def command(directory: pathlib.Path, port: int) -> list[str]:
    """The command that serves the registry in `directory` (DIR/registry) at HOST:port.

    Raises:
      ConfigurationError: there is no registry, or the port is taken.
      RegistryError: another MLflow wrote it.
    """
    require(mlflow_backend.exists(str(directory)), "--root", "a directory with a registry; `flowers run` makes one",
            str(directory.parent))  # fmt: skip
    mlflow_backend.relocate(str(directory))
    database = schema.usable(str(directory / mlflow_backend.DATABASE))
    require(0 < port < 65536 and _is_free(port), "--port", "a free port, 1 to 65535", port)
    return [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", schema.uri(database),
        # The page shows what is registered; files are neither served nor taken.
        "--no-serve-artifacts", "--default-artifact-root", str(directory / "mlflow-artifacts"),
    ]  # fmt: skip


def serve(directory: pathlib.Path, port: int) -> None:
    """Serves the page in the foreground until Ctrl-C. Does not return: this process becomes MLflow's.

    Raises:
      ConfigurationError: see `command`.
    """
    arguments = command(directory, port)
    print(f"The registry at {directory}: http://{HOST}:{port}/#/models (Ctrl-C ends it)")
    # Else the page shows of an experiment what language models need.
    print(f"Runs, their curves and how they compare: http://{HOST}:{port}/#/experiments?workflowType=machine_learning", flush=True)
    os.chdir(directory)  # MLflow writes some files into the working directory
    os.execve(sys.executable, arguments, {**os.environ, **ENVIRONMENT})


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
