"""The backbones: ResNet-18 and ResNet-50 (He et al., arXiv 1512.03385, table 1) and a small one, of any width and with two stems.

All are functional Keras models from pixels to pooled features. The last normalisation of each residual branch starts at scale 0
(Goyal et al., arXiv 1706.02677, section 5.1), so that every block starts as the identity.
"""

import re
from collections.abc import Callable, Iterable

import keras

from trainer import convolution, normalization

# Blocks a stage and kind of block; every stage after the first halves the resolution and doubles the channels.
ARCHITECTURES = {
    "small": ((1, 1, 1), "basic"),
    "resnet18": ((2, 2, 2, 2), "basic"),
    "resnet50": ((3, 4, 6, 3), "bottleneck"),
}
BOTTLENECK_EXPANSION = 4

# Mean and standard deviation of ImageNet's channels, for pixels in [0, 1] (torchvision's documentation).
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)

Normalization = Callable[..., keras.layers.Layer]


def build_backbone(
    name: str,
    *,
    width: int,
    stem: str,
    resolution: int,
    seed: int,
    normalization_layer: Normalization = normalization.fused,
    precision: str = "float32",
    layers_of: keras.Model | None = None,
) -> keras.Model:
    """An untrained backbone.

    Args:
      name: a key of ARCHITECTURES.
      width: channels of the first stage; 64 is the published network.
      stem: "imagenet" (7x7 convolution of stride 2, then 3x3 max pooling of stride 2) or "small" (3x3 convolution of stride 1).
      resolution: side of the input in pixels.
      seed: determines the initial weights.
      normalization_layer: `normalization.fused` to train, `normalization.stock` to export.
      precision: Keras' dtype policy of everything between pixels and pooling: "float32", "mixed_bfloat16" or "mixed_float16".
        Weights are always float32.
      layers_of: a backbone of the same architecture for another resolution, whose layers, and so weights, this one shares.

    Returns:
      A model from `[batch, resolution, resolution, 3]` float32 in [0, 1] to `[batch, features]` float32, the average over the last
      feature map. features = 8 x width (ResNet-18), 32 x width (ResNet-50), 4 x width (small).

    Raises:
      ValueError: unknown name or stem.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"backbone must be one of {', '.join(ARCHITECTURES)}, got {name!r}")
    if stem not in ("imagenet", "small"):
        raise ValueError(f"stem must be 'imagenet' or 'small', got {stem!r}")
    blocks, kind = ARCHITECTURES[name]
    block = _basic_block if kind == "basic" else _bottleneck_block
    layers = _Layers(seed, normalization_layer, precision, layers_of)

    pixels = keras.Input((resolution, resolution, 3), name="pixels")
    scale = [1 / std for std in PIXEL_STD]
    offset = [-mean / std for mean, std in zip(PIXEL_MEAN, PIXEL_STD)]
    x = keras.layers.Rescaling(scale, offset, name="standardize", dtype="float32")(pixels)
    if stem == "imagenet":
        x = layers.convolution(x, width, 7, 2, "stem")
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool", dtype=precision)(layers.normalize_relu(x, "stem"))
    else:
        x = layers.normalize_relu(layers.convolution(x, width, 3, 1, "stem"), "stem")
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            x = block(layers, x, width * 2**stage, stride, f"stage{stage + 1}_block{index + 1}")
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x), name=name)


def stage_outputs(backbone: keras.Model) -> list[keras.KerasTensor]:
    """The last feature map of each stage, from the first to the last: `[batch, height, width, channels]`."""
    last_of_stage = {}
    for layer in backbone.layers:
        if match := re.fullmatch(r"(stage\d+)_block\d+_relu", layer.name):
            last_of_stage[match[1]] = layer.output
    return list(last_of_stage.values())


def convolution_before(normalization_name: str, names: Iterable[str]) -> str:
    """Name of the convolution whose output the layer `normalization_name` normalises; `names` are those of a backbone's layers."""
    prefix = normalization_name.removesuffix("_norm")
    if not prefix.endswith("_last"):
        return f"{prefix}_conv"
    block = prefix.removesuffix("_last")
    return max(name for name in names if re.fullmatch(rf"{block}_\d_conv", name))


class _Layers:
    """Makes the layers of one network; each draws its initial weights from a seed of its own, derived from the network's."""

    def __init__(self, seed: int, normalization_layer: Normalization, precision: str, layers_of: keras.Model | None):
        self.layers_of = layers_of
        self.seed = seed
        self.precision = precision
        self.count = 0
        self.normalization_layer = normalization_layer

    def convolution(self, x, channels: int, size: int, stride: int, name: str):
        self.count += 1
        # He et al., arXiv 1502.01852, with the fan-out, as torchvision initializes its ResNets.
        initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=self.seed * 1009 + self.count)
        # What does not train is stock Keras, which loads anywhere.
        conv2d = convolution.Conv2D if self.normalization_layer is normalization.fused else keras.layers.Conv2D
        layer = conv2d(
            channels,
            size,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer=initializer,
            name=f"{name}_conv",
            dtype=self.precision,
        )
        return self.shared(layer)(x)

    def shared(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        return self.layers_of.get_layer(layer.name) if self.layers_of else layer

    def normalize(self, x, name: str, gamma_initializer: str = "ones"):
        layer = self.normalization_layer(name=f"{name}_norm", gamma_initializer=gamma_initializer, dtype=self.precision)
        return self.shared(layer)(x)

    def normalize_relu(self, x, name: str):
        return self.relu(self.normalize(x, name), name)

    def relu(self, x, name: str):
        return keras.layers.ReLU(name=f"{name}_relu", dtype=self.precision)(x)


def _basic_block(layers: _Layers, x, channels: int, stride: int, name: str):
    branch = layers.convolution(x, channels, 3, stride, f"{name}_1")
    branch = layers.normalize_relu(branch, f"{name}_1")
    branch = layers.convolution(branch, channels, 3, 1, f"{name}_2")
    return _merge(layers, x, branch, channels, stride, name)


def _bottleneck_block(layers: _Layers, x, channels: int, stride: int, name: str):
    # The stride is on the 3x3 convolution, as in torchvision's ResNet-50, which the paper trained.
    branch = layers.normalize_relu(layers.convolution(x, channels, 1, 1, f"{name}_1"), f"{name}_1")
    branch = layers.normalize_relu(layers.convolution(branch, channels, 3, stride, f"{name}_2"), f"{name}_2")
    branch = layers.convolution(branch, channels * BOTTLENECK_EXPANSION, 1, 1, f"{name}_3")
    return _merge(layers, x, branch, channels * BOTTLENECK_EXPANSION, stride, name)


def _merge(layers: _Layers, shortcut, branch, channels: int, stride: int, name: str):
    branch = layers.normalize(branch, f"{name}_last", gamma_initializer="zeros")
    if stride != 1 or shortcut.shape[-1] != channels:
        shortcut = layers.convolution(shortcut, channels, 1, stride, f"{name}_shortcut")
        shortcut = layers.normalize(shortcut, f"{name}_shortcut")
    return layers.relu(keras.layers.Add(name=f"{name}_add", dtype=layers.precision)([branch, shortcut]), name)
