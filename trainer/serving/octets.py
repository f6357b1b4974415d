"""Numbers and parts of a byte string, inside a graph. Outside the string there are no bytes: a part is short, a number has zeros.

All positions, sizes and numbers are int64 scalars.
"""

import functools

import tensorflow as tf

TEXT, NUMBER, FLAG = (tf.TensorSpec([], kind) for kind in (tf.string, tf.int64, tf.bool))
# A function of its own in the graph: what is called in a hundred places is traced and saved once.
once = functools.partial(tf.function, autograph=False)


def constant(number: int) -> tf.Tensor:
    """A number of this file's kind."""
    return tf.constant(number, tf.int64)


def size_of(text: tf.Tensor) -> tf.Tensor:
    """The bytes of a scalar string."""
    return tf.cast(tf.strings.length(text), tf.int64)


def part(text: tf.Tensor, position: tf.Tensor | int, size: tf.Tensor | int) -> tf.Tensor:
    """At most `size` bytes of the scalar string `text` from `position` on."""
    return _part(text, tf.cast(position, tf.int64), tf.cast(size, tf.int64))


@once(input_signature=[TEXT, NUMBER, NUMBER])
def _part(text: tf.Tensor, position: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(text, tf.clip_by_value(position, 0, size_of(text)), tf.maximum(size, 0))


def rest(text: tf.Tensor, position: tf.Tensor | int) -> tf.Tensor:
    """All bytes of the scalar string `text` from `position` on."""
    return part(text, position, size_of(text))


def number(text: tf.Tensor, position: tf.Tensor | int, size: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """The unsigned number of `size` bytes, at most 7, at `position`; its lowest byte is the first if `little`."""
    return _number_of(size)(text, tf.cast(position, tf.int64), tf.cast(little, tf.bool))


@functools.cache
def _number_of(size: int) -> tf.types.experimental.PolymorphicFunction:
    def of(text: tf.Tensor, position: tf.Tensor, little: tf.Tensor) -> tf.Tensor:
        octets = tf.cast(tf.io.decode_raw(part(text, position, size), tf.uint8), tf.int64)
        octets = tf.pad(octets, [[0, size - tf.shape(octets)[0]]])
        powers = tf.constant([256**power for power in range(size)], tf.int64)
        return tf.reduce_sum(octets * tf.where(little, powers, powers[::-1]))

    return once(of, input_signature=[TEXT, NUMBER, FLAG])


def table(text: tf.Tensor, position: tf.Tensor, rows: tf.Tensor, width: int) -> tf.Tensor:
    """The whole rows, at most `rows`, of `width` bytes each, at `position`: `[rows, width]` int64."""
    octets = tf.cast(tf.io.decode_raw(part(text, position, rows * width), tf.uint8), tf.int64)
    whole = tf.shape(octets)[0] // width
    return tf.reshape(octets[: whole * width], [whole, width])


def numbers(columns: tf.Tensor, little: tf.Tensor | bool = False) -> tf.Tensor:
    """The unsigned number in each row of `[rows, size]` int64: `[rows]`."""
    powers = tf.constant([256**power for power in range(columns.shape[1])], tf.int64)
    return tf.reduce_sum(columns * tf.where(little, powers, powers[::-1]), axis=1)


def first_of(*texts: tf.Tensor) -> tf.Tensor:
    """The first of these scalar strings that is not empty; "" if all are."""
    found = tf.constant("")
    for text in reversed(texts):
        found = tf.where(tf.equal(text, ""), found, text)
    return found
