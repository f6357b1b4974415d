"""Networks that others trained, a file of Keras or one of Keras' applications: feature extractors beside the backbone, or its start.

Nothing in a file is executed: Keras' safe mode refuses code in it.
"""

import os
import sys
from typing import NamedTuple

import keras

from pipeline_config import APPLICATION, ConfigurationError

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
    model = application(name, SIDE) if name.startswith(APPLICATION) else read(name)
    return Network(model, model.input_shape[1])


def application(name: str, side: int) -> keras.Model:
    """The model keras:NAME of keras.applications for squares of `side` pixels, with its preprocessing, averaged.

    Errors as open_network.
    """
    kind = name.removeprefix(APPLICATION)
    build = getattr(keras.applications, kind, None)
    preprocess = getattr(sys.modules.get(getattr(build, "__module__", "")), "preprocess_input", None)
    if preprocess is None:
        known = ", ".join(one for one in vars(keras.applications) if one[0].isupper())
        raise ConfigurationError(f"keras.applications has no model {kind!r}; it has {known}")
    pixels = keras.Input((side, side, 3), name="pixels")
    taken = preprocess(keras.layers.Rescaling(255.0, name="bytes")(pixels))
    try:
        # On this input, not called as a whole: so its layers can be trained, and be built for other sides.
        network = build(include_top=False, weights="imagenet", input_shape=(side, side, 3), input_tensor=taken, pooling="avg")
    except Exception as error:
        # What keras.utils.get_file raises, and what it begins with.
        if "URL fetch failure" in str(error):
            raise ConfigurationError(f"the ImageNet weights of {name} are not here and cannot be downloaded: {error}; name a "
                                     "file instead, FILE.keras") from error  # fmt: skip
        if isinstance(error, ValueError):
            raise ConfigurationError(f"{name} cannot be built for squares of {side} pixels: {error}") from error
        raise
    return keras.Model(pixels, network.outputs[0], name=kind)


def read(path: str) -> keras.Model:
    """The model in a file, averaged if it returns a feature map. Errors as open_network."""
    if not os.path.isfile(path):
        raise ConfigurationError(f"a network is FILE.keras or {APPLICATION}NAME, such as {APPLICATION}ResNet50; there is no file {path!r}")
    try:
        network = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of many kinds: what is in the file decides
        raise ConfigurationError(
            f"{path} cannot be loaded as a Keras model: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error
    takes, gives = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    square = isinstance(takes, tuple) and len(takes) == 4 and takes[1] and takes[1] == takes[2] and takes[3] == 3
    if not square or not isinstance(gives, tuple) or len(gives) not in (2, 4) or gives[-1] is None:
        raise ConfigurationError(
            f"{path} takes {takes} and returns {gives}; a feature extractor takes one square of RGB, (None, side, side, "
            "3) with pixels in [0, 1], and returns features, (None, d), or a feature map, (None, height, width, d)"
        )
    (pixels,), (features,) = network.inputs, network.outputs
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features) if len(gives) == 4 else features
    return keras.Model(pixels, pooled, name=network.name)
