"""Starts pre-training from a backbone that was registered earlier. Projector and predictor are not registered and begin anew."""

import keras

from contracts.content_hash import content_hash
from pipeline_config import WarmStart
from trainer.embedding_network import copy_weights
from trainer.export import load_backbone


class BackboneChanged(RuntimeError):
    """The backbone to start from does not have the content hash that it had when it was chosen."""


def take_weights(backbone: keras.Model, warm_start: WarmStart) -> None:
    """Gives `backbone` the weights and running statistics of the one in warm_start.backbone, a network of the same shape.

    Raises:
      BackboneChanged: the content hash of the directory is not warm_start.content_hash.
    """
    found = content_hash(warm_start.backbone)
    if found != warm_start.content_hash:
        raise BackboneChanged(
            f"the backbone of version {warm_start.version} at {warm_start.backbone} has content hash {found}, expected "
            f"{warm_start.content_hash}; it changed since the run began. `flowers registry verify` says which files differ"
        )
    network, _ = load_backbone(warm_start.backbone)
    copy_weights(network, backbone)
