"""A network of others as SimSiam's start: kept beside the runs, read, and built for the side of a view.

It is the backbone then, with its own normalisations, which train; its features are what it returns, one stage averaged.
"""

import os
import pathlib
import posixpath
import shutil
import tempfile
from collections.abc import Callable

import keras
import tensorflow as tf

from contracts import files, model_files
from contracts.content_hash import content_hash
from contracts.text import visible
from pipeline_config import APPLICATION, ConfigurationError, WarmStart
from trainer import other_networks
from trainer.keras_file import save_keras


def keep(name: str, side: int, folder: pathlib.Path) -> WarmStart:
    """Copies a network below `folder`, if it is not there yet, and returns what pre-training starts from.

    A file is kept by its content, so that a changed file is another start. An application is kept by name and side: once it is
    there, it is downloaded no more and stays what it was.

    Args:
      name: FILE.keras or keras:NAME, as trainer.other_networks.open_network takes it.
      side: of the views, in pixels, for which an application is built.

    Raises:
      ConfigurationError: as open_network; it has nothing to train, or does not compute in float32.
    """
    if name.startswith(APPLICATION):
        called, place = name, folder / f"{name.removeprefix(APPLICATION)}-{side}"
        if not (place / model_files.START_KERAS).exists():
            network = other_networks.application(name, side)
            require_trainable(network, called)
            _write(place, lambda copy: save_keras(network, copy))
    else:
        called = visible(os.path.basename(name))
        require_trainable(other_networks.read(name), called)
        place = folder / files.sha256(name)
        if not (place / model_files.START_KERAS).exists():
            _write(place, lambda copy: shutil.copyfile(name, copy))
    return WarmStart(backbone=str(place), content_hash=content_hash(str(place)), network=called)


def _write(place: pathlib.Path, write: Callable[[str], None]) -> None:
    """Lets `write` write START_KERAS in the folder `place`, whole or not at all."""
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as unfinished:
        copy = os.path.join(unfinished, model_files.START_KERAS)
        write(copy)
        os.replace(copy, place / model_files.START_KERAS)


def require_trainable(network: keras.Model, called: str) -> None:
    """Raises ConfigurationError unless SimSiam can train the network."""
    if not network.trainable_weights:
        raise ConfigurationError(f"pretrain.start={called}: the network has no weight to train; set `trainable = True` on its "
                                 "layers and save it again")  # fmt: skip
    others = sorted({layer.compute_dtype for layer in network._flatten_layers()} - {"float32"})
    if others:
        raise ConfigurationError(f"pretrain.start={called}: the network computes in {', '.join(map(str, others))}; build it with "
                                 "the policy float32 and save it again")  # fmt: skip


def read(directory: str) -> keras.Model:
    """The network of a directory that `keep` or an export wrote, local or remote: from `[batch, side, side, 3]` float32 in [0, 1]
    to `[batch, features]` float32, with the weights of the start."""
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, model_files.START_KERAS)
        tf.io.gfile.copy(posixpath.join(directory, model_files.START_KERAS), local)
        return other_networks.read(local)


def at_side(network: keras.Model, side: int) -> keras.Model:
    """The network for squares of `side` pixels, with the same weights; itself if that is its side.

    Raises:
      ConfigurationError: it can only be what it was built for.
    """
    own = network.input_shape[1]
    if side == own:
        return network
    pixels = keras.Input((side, side, 3), name="pixels")
    try:
        built = keras.models.clone_model(network, input_tensors=keras.tree.map_structure(lambda _: pixels, network.input))
        built.set_weights(network.get_weights())
    except Exception as error:  # of as many kinds as layers
        raise ConfigurationError(
            f"pretrain.start is a network for squares of {own} pixels and cannot be built for {side}: set pretrain.resolution={own} "
            f"and embedding.resolution={own}") from error  # fmt: skip
    return keras.Model(pixels, built.outputs[0], name=network.name)


def build(directory: str, side: int, seed: int) -> keras.Model:
    """The network of a directory for views of `side` pixels; `seed` determines what its layers draw at random, as dropout does."""
    network = at_side(read(directory), side)
    states = [variable for variable in network.variables if variable.name == "seed_generator_state"]
    for index, state in enumerate(states):
        state.assign(tf.cast([seed, index], state.dtype))
    return network
