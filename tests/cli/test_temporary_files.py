"""The verbs that use a registered backbone leave nothing in the folder for temporary files. (Runs: tests/pipeline/.)"""

import os

import pytest
from tiny import PATIENCE_SECONDS, PROJECT

from components.synthetic_flowers import scene

# As the command line does, but in one process, whose end is the end of each.
VERBS = """
import sys
from cli.main import main
photographs, unlabelled, root, out = sys.argv[1:]
for arguments in (["embed", photographs, "-o", f"{out}/index.npy"], ["predict", photographs, "-o", f"{out}/predicted.csv"],
                  ["select", unlabelled, "--count", "5", "-o", f"{out}/selected.csv", "--page", f"{out}/page.html"]):
    assert main([*arguments, "--root", root]) == 0, arguments
assert main(["predict", photographs, "-o", f"{out}/none/x.gif", "--root", root]) != 0
"""


# Each verb imports TensorFlow's graphs anew and embeds 60 photographs.
@pytest.mark.slow
def test_embed_predict_and_select_leave_no_temporary_files(finished_run, forked, tmp_path):
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    out.mkdir()
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    for index in range(12):
        (unlabelled / f"{index}.jpg").write_bytes(scene.draw_jpeg(4, index, 48))
    ended = forked.run(["-c", VERBS, finished_run.folder, unlabelled, finished_run.root, out], cwd=PROJECT,
                       env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
                       timeout=PATIENCE_SECONDS)  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(temporary.iterdir()) == []
