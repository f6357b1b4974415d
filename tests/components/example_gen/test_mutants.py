"""The promise to anyone's folder: a damaged file is refused with its reason, or becomes what the trainers' decoder reads."""

import io
import resource
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.example_gen import photograph

REASONS = {value for name, value in vars(photograph).items() if name.isupper() and isinstance(value, str)}
SAVED = {
    "JPEG": {}, "JPEG progressive": {"progressive": True}, "PNG": {}, "WEBP": {}, "GIF": {}, "BMP": {}, "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"}, "AVIF": {"speed": 10}, "HEIF": {}, "JPEG2000": {},
}  # fmt: skip


def originals():
    """A small photograph in each format, with Exif data where the format has them."""
    small = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    picture = Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 1
    for name, options in SAVED.items():
        buffer = io.BytesIO()
        picture.save(buffer, name.split()[0], exif=exif.tobytes(), **options)
        yield buffer.getvalue()


def mutant(data, random):
    """`data` with one to three changes of the kinds that disks, downloads and programs make."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 4)):
        # Half of all changes where most of a format's structure is.
        within = len(changed) if random.random() < 0.5 else min(len(changed), 200)
        start = int(random.integers(0, max(within, 1)))
        length = int(random.integers(1, 40))
        kind = random.integers(0, 6)
        if kind == 0:
            del changed[start:]
        elif kind == 1:
            changed[start : start + length] = bytes(length)
        elif kind == 2:
            changed[start : start + length] = random.bytes(length)
        elif kind == 3:
            del changed[start : start + length]
        elif kind == 4:
            changed[start:start] = changed[start : start + length]
        elif start < len(changed):
            changed[start] ^= 1 << int(random.integers(0, 8))
    if random.random() < 0.1:
        changed = changed[:-2] + bytes(512)  # the end is gone, and zeros stand there
    return bytes(changed)


def check(count, seed):
    """Tries `count` mutants: how many were accepted, and the reasons of the others."""
    random, sources = np.random.default_rng(seed), list(originals())
    accepted, refused = 0, []
    for number in range(count):
        data = mutant(sources[number % len(sources)], random)
        try:
            found = photograph.prepare(data, 64, 1_000_000)
        except photograph.Unusable as unusable:
            assert unusable.reason in REASONS
            assert unusable.detail
            refused.append(unusable.reason)
            continue
        # What both trainers do, and what the evaluation, the probe and the served signature do.
        pixels = tf.io.decode_jpeg(found.jpeg, channels=3)
        assert pixels.shape == (found.height, found.width, 3)
        assert len(found.descriptor) == 768
        assert tf.io.decode_image(found.jpeg, channels=3, expand_animations=False).shape == pixels.shape
        accepted += 1
    assert accepted + len(refused) == count
    return accepted, refused


# Pillow warns of damaged metadata.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_mutants_are_read_by_the_trainers_decoder_or_refused_with_a_reason():
    accepted, refused = check(220, seed=1)
    assert min(accepted, len(refused)) > 20  # both happen


@pytest.mark.slow
def test_ten_thousand_mutants_take_bounded_time_and_memory():
    check(220, seed=1)  # libraries and their caches are loaded
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    accepted, refused = check(10_000, seed=2)
    assert min(accepted, len(refused)) > 1000
    # No assertion on speed: only a file that keeps a core busy for minutes would take so long.
    assert time.process_time() - started < 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # kilobytes
