"""`flowers registry ui`: MLflow's own page of the registry, for this machine alone. Called by pipeline/verbs/registry.py."""

import os
import pathlib
import socket
import sys

from components.registry import store
from pipeline_config import require

HOST = "127.0.0.1"

ENVIRONMENT = {
    # No usage reports, neither from the server nor from the page.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow's background jobs evaluate language models; here they would only start processes.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def command(directory: pathlib.Path, port: int) -> list[str]:
    """The command that serves the registry in `directory` (DIR/registry) at HOST:port.

    Raises:
      ConfigurationError: there is no registry, or the port is taken.
    """
    require(store.exists(str(directory)), "--root", "a directory with a registry; `flowers run` makes one", str(directory.parent))
    require(0 < port < 65536 and _is_free(port), "--port", "a free port, 1 to 65535", port)
    return [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", store.uri(str(directory / store.DATABASE)),
        # The page shows what is registered; files are neither served nor taken.
        "--no-serve-artifacts", "--default-artifact-root", str(directory / "mlflow-artifacts"),
    ]  # fmt: skip


def serve(directory: pathlib.Path, port: int) -> None:
    """Serves the page in the foreground until Ctrl-C. Does not return: this process becomes MLflow's.

    Raises:
      ConfigurationError: see `command`.
    """
    arguments = command(directory, port)
    print(f"The registry at {directory}: http://{HOST}:{port}/#/models (Ctrl-C ends it)", flush=True)
    os.chdir(directory)  # where MLflow puts what it is not told a place for
    os.execve(sys.executable, arguments, {**os.environ, **ENVIRONMENT})


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
