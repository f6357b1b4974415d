"""Networks that others trained, as feature extractors beside the backbone: a file of Keras, or one of Keras' applications.

Nothing in a file is executed: Keras' safe mode refuses code in it.
"""

import os
import sys
from typing import NamedTuple

import keras

from pipeline_config import ConfigurationError

APPLICATION = "keras:"
# The side at which most of Keras' applications were trained.
SIDE = 224


class Network(NamedTuple):
    """`model` takes whole photographs scaled to squares of `side` pixels, `[batch, side, side, 3]` float32 in [0, 1], and returns
    features `[batch, d]` float32."""

    model: keras.Model
    side: int


def open_network(name: str) -> Network:
    """The network of that name.

    Args:
      name: FILE.keras, a model from squares of RGB in [0, 1] to features or a feature map, which is averaged; or keras:NAME, a model
        of keras.applications with its ImageNet weights, which Keras downloads once, and its own preprocessing.

    Raises:
      ConfigurationError: there is no such network, it takes or returns something else, or its weights cannot be downloaded.
    """
    return _application(name.removeprefix(APPLICATION)) if name.startswith(APPLICATION) else _file(name)


def _application(name: str) -> Network:
    build = getattr(keras.applications, name, None)
    preprocess = getattr(sys.modules.get(getattr(build, "__module__", "")), "preprocess_input", None)
    if preprocess is None:
        known = ", ".join(one for one in vars(keras.applications) if one[0].isupper())
        raise ConfigurationError(f"keras.applications has no model {name!r}; it has {known}")
    try:
        network = build(include_top=False, weights="imagenet", input_shape=(SIDE, SIDE, 3), pooling="avg")
    except Exception as error:
        # What keras.utils.get_file raises, and what it begins with.
        if "URL fetch failure" not in str(error):
            raise
        raise ConfigurationError(
            f"the ImageNet weights of {APPLICATION}{name} are not here and cannot be downloaded: {error}; name a file instead, "
            "--features FILE.keras") from error  # fmt: skip
    pixels = keras.Input((SIDE, SIDE, 3))
    return Network(keras.Model(pixels, network(preprocess(pixels * 255.0), training=False)), SIDE)


def _file(path: str) -> Network:
    if not os.path.isfile(path):
        raise ConfigurationError(f"--features takes FILE.keras or {APPLICATION}NAME, such as {APPLICATION}ResNet50; there is no file {path!r}")
    try:
        network = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of many kinds: what is in the file decides
        raise ConfigurationError(f"{path} cannot be loaded as a Keras model: {str(error).splitlines()[0] if str(error) else error!r}") from error
    takes, gives = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    square = isinstance(takes, tuple) and len(takes) == 4 and takes[1] and takes[1] == takes[2] and takes[3] == 3
    if not square or not isinstance(gives, tuple) or len(gives) not in (2, 4) or gives[-1] is None:
        raise ConfigurationError(f"{path} takes {takes} and returns {gives}; a feature extractor takes one square of RGB, (None, side, side, "
                                 "3) with pixels in [0, 1], and returns features, (None, d), or a feature map, (None, height, width, d)")  # fmt: skip
    pixels = keras.Input(takes[1:])
    features = network(pixels, training=False)
    return Network(keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(features) if len(gives) == 4 else features), takes[1])
