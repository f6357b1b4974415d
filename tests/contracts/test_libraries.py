"""What the user has set for other programs' Keras decides nothing here: every process of the project sets it for itself."""

import json
import os
import re
import subprocess
import sys
import types

import pytest
from tiny import PROJECT

from cli.main import main
from contracts import libraries

HOSTILE = {"KERAS_BACKEND": "torch", "TF_USE_LEGACY_KERAS": "1"}
KERAS_JSON = {"floatx": "float16", "epsilon": 0.5, "backend": "jax", "image_data_format": "channels_first"}

ASK = """
from contracts import libraries
libraries.set_variables()
import json, keras, tensorflow as tf
config = keras.config
print(json.dumps([keras.backend.backend(), config.floatx(), config.image_data_format(), config.epsilon(),
                  keras.layers.Conv2D(4, 3).data_format, str(tf.keras.layers.Dense(2).compute_dtype), tf.keras.__version__[0]]))
"""


def test_what_decides_results_is_decided_and_the_rest_stays_as_the_user_set_it():
    environment = {**HOSTILE, "KERAS_HOME": "/home/flora/.keras", "TF_CPP_MIN_LOG_LEVEL": "0"}
    libraries.set_variables(environment)
    assert environment == libraries.DECIDED | libraries.UNLESS_SET | {"TF_CPP_MIN_LOG_LEVEL": "0"}


def test_every_verb_starts_with_it(monkeypatch, tmp_path, capsys):
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    main(["report", "--root", str(tmp_path)])
    assert {name: os.environ[name] for name in libraries.DECIDED} == libraries.DECIDED


def test_the_image_has_the_same_values():
    """Its entry point is `flowers`, but Vertex AI starts other commands in it."""
    (block,) = re.findall(r"^ENV PATH(?:.*\\\n)*.*", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert (libraries.DECIDED | libraries.UNLESS_SET).items() <= dict(re.findall(r"(\w+)=(\S+)", block)).items()


@pytest.mark.parametrize("name, other", [("backend", "torch"), ("image_data_format", "channels_first"), ("floatx", "float16")])
def test_keras_that_was_imported_with_other_settings_is_refused_and_left_as_it_is(monkeypatch, name, other):
    settings = libraries.NEEDED | {name: other}
    config = types.SimpleNamespace(**{one: lambda value=value: value for one, value in settings.items()})
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(config=config))
    monkeypatch.setenv("KERAS_BACKEND", "theirs")
    with pytest.raises(ImportError, match=f"imported before, with {name} '{other}' instead of '{libraries.NEEDED[name]}'; import"):
        libraries.set_variables_or_check()
    assert os.environ["KERAS_BACKEND"] == "theirs"
    setattr(config, name, lambda: libraries.NEEDED[name])
    libraries.set_variables_or_check()


IN_A_PROCESS_OF_ONE_S_OWN = """
import sys
if sys.argv[1] == "after":
    import keras
    keras.config.set_floatx("float16")
import inference
"""


@pytest.mark.slow
def test_whoever_imports_inference_gets_the_right_settings_or_is_told(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(KERAS_JSON))
    command = [sys.executable, "-c", IN_A_PROCESS_OF_ONE_S_OWN + ASK.replace("libraries.set_variables()\n", "")]
    hostile = {**os.environ, **HOSTILE, "KERAS_HOME": str(tmp_path)}
    before = subprocess.run([*command, "before"], cwd=PROJECT, env=hostile, capture_output=True, text=True, check=True)
    assert json.loads(before.stdout) == ["tensorflow", "float32", "channels_last", 1e-7, "channels_last", "float32", "3"]
    after = subprocess.run([*command, "after"], cwd=PROJECT, env=os.environ, capture_output=True, text=True, check=False)
    assert after.returncode == 1 and "WrongKerasSettings: Keras was imported before, with floatx 'float16'" in after.stderr


@pytest.mark.slow
def test_keras_takes_neither_variables_nor_keras_json(tmp_path):
    folder = tmp_path / ".keras"
    folder.mkdir()
    (folder / "keras.json").write_text(json.dumps(KERAS_JSON))
    environment = {**os.environ, **HOSTILE, "HOME": str(tmp_path), "KERAS_HOME": str(folder)}
    process = subprocess.run(
        [sys.executable, "-c", ASK], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)  # fmt: skip
    assert json.loads(process.stdout) == ["tensorflow", "float32", "channels_last", 1e-7, "channels_last", "float32", "3"]
