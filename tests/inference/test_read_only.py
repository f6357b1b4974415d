"""The champion is used where its registry is mounted read-only, as by another user, and nothing in it changes."""

import os
import subprocess
import sys

import pytest
from tiny import PROJECT

from contracts import files

MOUNTED = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
           'd=$1; shift; mount --bind "$d" "$d" && mount -o remount,ro,bind "$d" && exec "$@"', "sh"]  # fmt: skip
# In one process, as each would import TensorFlow.
COMMANDS = """if True:
    import sys
    from cli.main import main
    root, folder, source = sys.argv[1:]
    version = ["--root", root]
    sys.exit(main(["embed", source, "-o", f"{folder}/i.npy", *version]) or main(["predict", source, "-o", f"{folder}/p.csv", *version])
             or main(["search", f"{source}/0.jpg", "--index", f"{folder}/i.npy", *version])
             or main(["select", source, "--count", "2", "-o", f"{folder}/s.csv", *version])
             or main(["export", "saved_model", "-o", f"{folder}/e", "--photographs", source, *version]))"""


# Several commands with their libraries.
@pytest.mark.slow
def test_every_verb_that_uses_the_champion_works_where_it_may_only_be_read(root, photographs, tmp_path):
    if "Read-only" not in subprocess.run([*MOUNTED, root, "touch", f"{root}/x"], capture_output=True, text=True, check=False).stderr:
        pytest.skip("this user may not mount a folder read-only")
    before = content(root)
    done = subprocess.run([*MOUNTED, root, sys.executable, "-c", COMMANDS, root, tmp_path, photographs],
                          cwd=PROJECT, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"i.npy", "p.csv", "s.csv", "e"} <= set(os.listdir(tmp_path))
    assert content(root) == before


def content(folder):
    """Hash and time of every file below a folder."""
    paths = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    return {path: (os.stat(path).st_mtime_ns, files.sha256(path)) for path in paths}
