"""A registry on a disk that is mounted read-only: what only reads works, and what writes says why it does not."""

import os
import shutil
import subprocess
import sys

import pytest
from tiny import PATIENCE_SECONDS, PROJECT

MOUNTED = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
# The versions' files and the vectors of a folder, all in one process, as each would import TensorFlow.
READING = """
import sys
from cli.main import main
root, folder, index = sys.argv[1:]
for words in (["registry", "list"], ["registry", "show", "champion"], ["registry", "verify"], ["embed", folder, "-o", index]):
    assert main([*words, "--root", root]) == 0, words
print("promote", main(["registry", "promote", "champion", "--root", root]))
"""


def mounts_alone():
    command = ["unshare", "--map-root-user", "--mount", "true"]
    return shutil.which("unshare") is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not mounts_alone(), reason="this machine lets nobody mount for himself (unshare --map-root-user --mount)")
def test_a_registry_that_is_mounted_read_only_can_be_listed_shown_verified_and_used(finished_run, tmp_path):
    root = shutil.copytree(finished_run.root, tmp_path / "moved", symlinks=True)  # so that MLflow's addresses are wrong, too
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNTED, str(root), sys.executable, "-c", READING, str(root),
               str(finished_run.folder / "class-0"), str(tmp_path / "index.parquet")]  # fmt: skip
    process = subprocess.run(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
                             check=False, timeout=PATIENCE_SECONDS)  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    assert "1 version of flowers-backbone checked, 0 damaged" in process.stdout
    assert "MLflow's own client will not find the files of versions" in process.stderr
    assert "promote" in process.stdout and not process.stdout.endswith("promote 0\n")
    assert (tmp_path / "index.parquet").exists()
