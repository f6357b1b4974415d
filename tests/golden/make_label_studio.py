"""Writes label_studio_VERSION.json: what the real Label Studio exports of tasks that this project wrote.

    PYTHONPATH=.:tests/support .venv/bin/python tests/golden/make_label_studio.py

Installs Label Studio into a temporary folder (or takes the executable that LABEL_STUDIO names) and labels five tasks through its
API: two as the model guesses or not, one with a name that is not ASCII, one skipped, one left alone.
"""

import io
import pathlib
import tempfile

import label_studio_server
from PIL import Image

from components.example_gen import label_studio

CLASSES = ("daisy", "rose", "tulip")
# Path, guess, and what a person says: a class, None to skip the task, "" to leave it alone.
SAID = (("unlabelled/1.jpg", "daisy", "daisy"), ("unlabelled/more/2 of 3.jpg", "tulip", "rose"),
        ("unlabelled/blüte.jpg", "rose", "rose"), ("unlabelled/4.jpg", "rose", None), ("unlabelled/5.jpg", "", ""))  # fmt: skip


def main() -> None:
    """Writes the file beside this one."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        photographs = folder / "photographs"
        for path, _, _ in SAID:
            (photographs / path).parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            Image.new("RGB", (32, 24), "white").save(buffer, "JPEG")
            (photographs / path).write_bytes(buffer.getvalue())
        tasks = [label_studio.task(str(photographs), path, {"content_hash": f"{number:064x}", "reason": "typical"},
                                   "flowers-backbone 1", guess, 0.5 if guess else None)
                 for number, (path, guess, _) in enumerate(SAID)]  # fmt: skip
        executable = label_studio_server.installed(folder)
        with label_studio_server.running(executable, folder / "data", folder) as studio:
            project = studio.project(label_studio.labelling_interface(CLASSES), tasks, photographs)
            for task, (_, _, said) in zip(studio.tasks(project), SAID, strict=True):
                if said != "":
                    studio.annotate(task["id"], said)
            exported = studio.export(project)
    golden = pathlib.Path(__file__).parent / f"label_studio_{label_studio_server.VERSION}.json"
    golden.write_bytes(exported)
    print(golden)


if __name__ == "__main__":
    main()
