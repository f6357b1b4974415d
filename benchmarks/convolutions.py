"""A backbone's convolutions by TensorFlow's operations and by matrix products: prints processor milliseconds of each.

    python benchmarks/convolutions.py [--width 64] [--resolution 64] [--batch 64] [--precision float32 mixed_bfloat16]

A row is a kind of convolution of ResNet-18, and how often it is in the network; the columns are its output, the gradient of its input and
that of its kernel, as TensorFlow computes them and as products (trainer/convolution.py), and what all three take in the ways that training
uses. Milliseconds are the processor's, of all its threads, so that other work on the machine counts little.
"""

import argparse
import collections
import time

from contracts import libraries

libraries.set_variables()

REPEATS = 20


def main() -> None:
    """Prints a table a precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("width", "resolution", "batch"):
        parser.add_argument(f"--{name}", type=int, default=64)
    parser.add_argument("--precision", nargs="+", default=["float32", "mixed_bfloat16"])
    arguments = parser.parse_args()
    import keras
    import tensorflow as tf

    from trainer.backbones import build_backbone
    from trainer.convolution import by_taps

    for precision in arguments.precision:
        backbone = build_backbone(
            "resnet18", width=arguments.width, stem="imagenet", resolution=arguments.resolution, seed=0, precision=precision)  # fmt: skip
        found, layers = collections.Counter(), {}
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.Conv2D):
                key = (layer.input.shape[1:], layer.kernel.shape, layer.strides[0])
                found[key] += 1
                layers[key] = layer
        print(f"{precision}, batch {arguments.batch}")
        print(f"{'map':>12}{'kernel':>18}{'stride':>8}{'times':>7}" + f"{'output':>10}{'input':>8}{'kernel':>8}" * 2 + f"{'training':>10}")
        for (inputs, kernel, stride), times in found.items():
            kind = tf.as_dtype(layers[inputs, kernel, stride].compute_dtype)
            maps = tf.cast(tf.random.normal((arguments.batch, *inputs)), kind)
            weights = tf.cast(tf.random.normal(kernel), kind)
            stock = timed(lambda x, w: tf.nn.conv2d(x, w, stride, "SAME"), maps, weights)
            # The stem's products would be of three channels each.
            products = timed(lambda x, w: by_taps(x, w, stride), maps, weights) if inputs[2] > 3 else ()
            used = timed(layers[inputs, kernel, stride].convolution_op, maps, weights)
            height, width, channels = inputs
            columns = [f"{one:8.2f}" for one in stock], [f"{one:8.2f}" for one in products] or [f"{'':8}"] * 3
            print(f"{height:5} x{width:3} x{channels:4}{'x'.join(map(str, kernel)):>15}{stride:8}{times:7}"
                  + "".join("  " + "".join(one) for one in columns) + f"{sum(used):10.2f}", flush=True)  # fmt: skip


def timed(convolve, maps, kernel) -> list[float]:
    """Processor milliseconds of output, gradient of the input, gradient of the kernel, each the least of three measurements."""
    import tensorflow as tf

    def gradient(of, other, wanted):
        with tf.GradientTape() as tape:
            tape.watch(of)
            outputs = wanted(of, other)
        return tape.gradient(outputs, of, tf.ones_like(outputs))

    functions = [
        tf.function(lambda: convolve(maps, kernel)),
        tf.function(lambda: gradient(maps, kernel, convolve)),
        tf.function(lambda: gradient(kernel, maps, lambda w, x: convolve(x, w))),
    ]
    return [least(function) for function in functions]


def least(function) -> float:
    """Processor milliseconds of a call."""
    for _ in range(3):
        function()
    measured = []
    for _ in range(3):
        start = time.process_time()
        for _ in range(REPEATS):
            function()
        measured.append((time.process_time() - start) / REPEATS * 1e3)
    return min(measured)


if __name__ == "__main__":
    main()
