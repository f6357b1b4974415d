"""Which older TensorFlow and Keras load a registered version: prints a row for each release.

    python benchmarks/oldest_tensorflow.py --root runs/mine --python python3.9 python3.11

Each release gets an environment of its own from PyPI, made by uv in a folder that is removed afterwards (`tensorflow-cpu`, about
1 GB each). In it the version's SavedModel computes the vectors of the same files, and its `.keras` file those of the same pixels.
Both are compared with the version's own, as `flowers export` compares. A release is TENSORFLOW, or TENSORFLOW:KERAS; the first
interpreter of --python for which PyPI has its wheel is taken.
"""

import argparse
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from contracts import libraries

libraries.set_variables()

import numpy as np
from PIL import Image

from components.example_gen import photograph
from components.synthetic_flowers import scene
from contracts.model_files import BACKBONE_KERAS, EMBEDDING, IMAGE_BYTES, SIGNATURE_ENCODED, SIGNATURE_PIXELS
from inference.embed import Backbone
from inference.export import EQUAL, difference_of
from inference.registered import find

# The last release of each minor version; from 2.16 on with the newest Keras that fits. Then releases of Keras, with a TensorFlow that
# takes them.
RELEASES = ("2.9.3", "2.10.1", "2.11.1", "2.12.1", "2.13.1", "2.14.1", "2.15.1", "2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0",
            "2.16.2:3.3.3", "2.16.2:3.6.0", "2.18.1:3.7.0", "2.18.1:3.8.0", "2.18.1:3.9.2", "2.20.0:3.12.4", "2.20.0:3.14.1")  # fmt: skip
# What those releases were made for: they name no upper limit, and later ones cannot be imported with them.
NUMPY = {"2.": "numpy<2"} | {f"2.{minor}.": "" for minor in (18, 19, 20)}
# Photographs, of which one is turned by Exif data and one transparent.
FILES = 8

# What runs in each environment, with TensorFlow alone.
LOADS = """
import json, sys
import numpy as np
import tensorflow as tf

folder, keras_file, given, found = sys.argv[1:]
said = {"tensorflow": tf.__version__}
asked, answers = np.load(given, allow_pickle=False), {}

def attempt(name, compute):
    try:
        answers[name] = np.asarray(compute())
    except Exception as error:
        # Keras puts the reason behind everything that the file says of a layer.
        said[name] = str(error).rpartition("Exception encountered: ")[2].split("\\n")[0].split(". ")[0][:120]

loaded = []

def load():
    loaded.append(tf.saved_model.load(folder))
    files = tf.constant([asked[f"file{index}"].tobytes() for index in range(int(asked["files"]))])
    return loaded[0].signatures["SIGNATURE_ENCODED"](IMAGE_BYTES=files)["EMBEDDING"]

def read():
    import keras
    said["keras"] = keras.__version__
    return keras.models.load_model(keras_file)(tf.constant(asked["pixels"]))

attempt("saved_model", load)
attempt("pixels", lambda: loaded[0].signatures["SIGNATURE_PIXELS"](tf.constant(asked["pixels"]))["EMBEDDING"])
attempt("keras_file", read)
np.savez(found, **answers)
print(json.dumps(said))
"""


def files(side: int) -> list[bytes]:
    """Encoded photographs of the kinds that a server is given most."""
    drawn = [scene.draw_jpeg(5, index, side) for index in range(FILES)]
    turned, picture = io.BytesIO(), Image.open(io.BytesIO(drawn[0]))
    exif = Image.Exif()
    exif[0x0112] = 6  # Exif 2.3, Orientation: the top is at the right
    picture.save(turned, "JPEG", exif=exif, quality=95)
    transparent = io.BytesIO()
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(transparent, "PNG")
    return [turned.getvalue(), transparent.getvalue(), *drawn[2:]]


def environment(release: str, pythons: list[str], folder: str) -> str | None:
    """The interpreter of a new environment with a release in it; None if none of `pythons` has a wheel of it."""
    tensorflow, _, keras = release.partition(":")
    wanted = [f"tensorflow-cpu=={tensorflow}", NUMPY.get(".".join(tensorflow.split(".")[:2]) + ".", NUMPY["2."])]
    wanted += [f"keras=={keras}"] if keras else []
    uv = pathlib.Path(sys.executable).parent / "uv"
    for python in pythons:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([uv, "venv", "--quiet", "--python", python, folder], check=True)
        installed = subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", f"{folder}/bin/python", "--only-binary", ":all:", *filter(None, wanted)],
            capture_output=True, text=True, check=False)  # fmt: skip
        if not installed.returncode:
            return f"{folder}/bin/python"
    return None


def compared(answers, reference: np.ndarray, names: tuple[str, ...], said: dict) -> str:
    """`yes` with the largest difference, or what went wrong."""
    wrong = next((said[name] for name in names if name in said), None)
    if wrong:
        return f"no: {wrong}"
    difference = max(difference_of(answers[name], reference[name]) for name in names)
    return f"{'yes' if difference <= EQUAL else 'no: other numbers'}, {difference:.6f}"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", nargs="+", default=RELEASES, metavar="TENSORFLOW[:KERAS]")
    parser.add_argument("--root", default="runs", help="the DIR of the registry")
    parser.add_argument("--version", default="champion")
    parser.add_argument("--python", nargs="+", default=["python3.9", "python3.11"], help="interpreters, the first that fits is taken")
    arguments = parser.parse_args()
    registered = find(arguments.root, arguments.version, "flowers-backbone")
    backbone = Backbone(registered)
    encoded = files(backbone.max_side)
    views = [backbone.view(photograph.prepare(one, backbone.max_side, 64_000_000)) for one in encoded]
    reference = backbone.vectors(views)
    program = LOADS
    names = {"SIGNATURE_ENCODED": SIGNATURE_ENCODED, "SIGNATURE_PIXELS": SIGNATURE_PIXELS, "IMAGE_BYTES": IMAGE_BYTES,
             "EMBEDDING": EMBEDDING}  # fmt: skip
    for name, value in names.items():
        program = program.replace(name, value)
    print("| TensorFlow | Keras | Python | SavedModel, largest difference | `.keras`, largest difference |\n|---|---|---|---|---|")
    for release in arguments.releases:
        with tempfile.TemporaryDirectory() as folder:
            given, found = os.path.join(folder, "given.npz"), os.path.join(folder, "found.npz")
            np.savez(given, files=len(encoded), pixels=np.stack(views),
                     **{f"file{index}": np.frombuffer(one, np.uint8) for index, one in enumerate(encoded)})  # fmt: skip
            python = environment(release, arguments.python, os.path.join(folder, "environment"))
            if python is None:
                print(f"| {release} | | | cannot be installed for {', '.join(arguments.python)} | |", flush=True)
                continue
            done = subprocess.run(
                [python, "-c", program, registered.directory, os.path.join(registered.directory, BACKBONE_KERAS), given, found],
                capture_output=True, text=True, check=False, cwd=folder)  # fmt: skip
            if done.returncode:
                print(f"| {release} | | | {done.stderr.strip().splitlines()[-1][:200]} | |", flush=True)
                continue
            said, version = (
                json.loads(done.stdout.splitlines()[-1]),
                subprocess.run(
                    [python, "-c", "import platform; print(platform.python_version())"], capture_output=True, text=True, check=True
                ).stdout.strip(),
            )
            answers = dict(np.load(found, allow_pickle=False))
            saved = compared(answers, {"saved_model": reference, "pixels": reference}, ("saved_model", "pixels"), said)
            whole = compared(answers, {"keras_file": reference}, ("keras_file",), said)
            print(f"| {said['tensorflow']} | {said.get('keras', '')} | {version} | {saved} | {whole} |", flush=True)


if __name__ == "__main__":
    main()
