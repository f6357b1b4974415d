"""Two machines, here two DIRs, run the pipeline into one registry on an MLflow server, and each uses what the other registered."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

from contracts.layout import Layout
from registry.backend import CHAMPION
from registry.opening import open_registry, registry_place

# What MLflow alone does, without this project.
LOADED = """
import mlflow, pandas, sys
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/flowers-backbone@champion")
print(model.predict(pandas.DataFrame({"image_bytes": [open(sys.argv[2], "rb").read()]}))["label"][0])
"""


# Two runs and a server.
@pytest.mark.slow
def test_two_machines_share_one_registry(forked, small_folder, mlflow_server, tmp_path):
    address = mlflow_server.address

    def flowers(*arguments, root, status=0):
        process = forked.run(["-m", "pipeline", *arguments, "--root", str(tmp_path / root)], cwd=PROJECT, capture_output=True,
                             text=True, timeout=PATIENCE_SECONDS)  # fmt: skip
        assert process.returncode == status, process.stdout + process.stderr
        return process.stdout + process.stderr

    def run(root, *options, status=0):
        given = (*TINY, *OPEN_GATE, f"registry.place={address}")
        return flowers("run", "--data", str(small_folder), *options, *(part for one in given for part in ("--set", one)), root=root,
                       status=status)  # fmt: skip

    assert "flowers-backbone version 1, alias champion" in " ".join(run("first", "--require-push").split())
    assert not (tmp_path / "first" / "registry").exists() or not (tmp_path / "first" / "registry" / "mlflow.db").exists()

    # The second machine does not know the key of the first, and says whose half is missing, before it trains.
    refused = run("second", "--warm-start", "champion", status=2)
    assert "is signed by key" in refused and "not among those that are trusted here" in refused
    for one, other in (("first", "second"),):
        shutil.copytree(tmp_path / one / "keys" / "trusted", tmp_path / other / "keys" / "trusted", dirs_exist_ok=True)
    run("second", "--warm-start", "champion", "--require-push")
    shutil.copytree(tmp_path / "second" / "keys" / "trusted", tmp_path / "first" / "keys" / "trusted", dirs_exist_ok=True)

    for root in ("first", "second"):
        registry = open_registry(registry_place(address, Layout.at(str(tmp_path / root))), "flowers-backbone")
        versions = registry.versions()
        assert [version.version for version in versions] == ["1", "2"]
        assert sum(CHAMPION in version.aliases for version in versions) == 1
        listed = flowers("registry", "verify", "--registry", address, root=root)
        assert "2 versions of flowers-backbone checked, 0 damaged" in listed
        flowers("embed", str(small_folder), "-o", str(tmp_path / f"{root}.npy"), "--registry", address, "--version", "1", root=root)
    first, second = (np.load(tmp_path / f"{root}.npy") for root in ("first", "second"))
    assert first.shape[0] == 60
    np.testing.assert_array_equal(first, second)

    photograph = next((small_folder / "class-0").iterdir())
    flowers("search", str(photograph), "--index", str(tmp_path / "first.npy"), "--registry", address, "--version", "1", root="second")
    flowers("predict", str(small_folder), "-o", str(tmp_path / "classes.csv"), "--registry", address, root="first")
    flowers("select", str(small_folder), "--count", "1", "-o", str(tmp_path / "next.csv"), "--registry", address, root="second", status=2)
    flowers("export", "keras", "-o", str(tmp_path / "network.keras"), "--registry", address, root="second")
    examined = flowers("doctor", "--preset", "quick", "--set", f"registry.place={address}", root="second")
    assert "2 versions, champion" in examined

    loaded = subprocess.run([sys.executable, "-c", LOADED, address, str(photograph)], cwd=tmp_path, capture_output=True, text=True,
                            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split()[-1].startswith("class-")
