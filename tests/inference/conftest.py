"""A registry whose champion is a small untrained backbone, and a folder of photographs in no particular layout."""

import dataclasses
import io
import json
import pathlib
import shutil
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from contracts import model_files
from contracts.content_hash import content_hash
from contracts.layout import Layout
from pipeline_config import Embedding, Registry
from registry import publishing
from registry.opening import open_registry
from trainer import normalization
from trainer.backbones import build_backbone
from trainer.export import export_backbone, load_backbone
from trainer.photographs import evaluation_views


def picture(seed, format="JPEG", size=(40, 30), **options):
    """A smooth random picture, different for every seed, as an encoded file."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(buffer, format, **options)
    return buffer.getvalue()


def claiming(width, height):
    """A PNG file whose header, with a right checksum, claims a size that its few bytes do not have."""
    png = picture(0, "PNG")
    header = png[12:16] + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.fixture(scope="session")
def encoded():
    return picture


# The first is what a spreadsheet would take for a formula.
CLASSES = ("=daisy", "rose", "tulip")
TEMPERATURE, THRESHOLD = 0.5, 0.8


def write_probe(directory, backbone):
    """A probe of CLASSES with random weights, on features standardised by the pictures of the first 14 seeds."""
    network, record = load_backbone(backbone)
    views = evaluation_views(tf.constant([picture(seed) for seed in range(14)]), record["photograph_side"])
    vectors = network(views, training=False).numpy()
    random = np.random.default_rng(0)
    np.savez(directory / model_files.PROBE_ARRAYS, mean=vectors.mean(axis=0), scale=vectors.std(axis=0) + 1e-3,
             weights=random.normal(size=(vectors.shape[1], 3)).astype(np.float32) / 4, bias=np.zeros(3, np.float32))  # fmt: skip
    measured = {"temperature": TEMPERATURE, "threshold": THRESHOLD, "calibration_error": 0.031, "uncalibrated_error": 0.09,
                "coverage": 0.62, "precision": 0.97}  # fmt: skip
    untrained = measured | {"calibration_error": 0.052, "coverage": 0.24, "precision": 0.93}
    calibration = {"stated_precision": 0.95, "candidate": measured, "random_init": untrained}
    (directory / model_files.PROBE_RECORD).write_text(json.dumps({"classes": CLASSES, "calibration": calibration}))


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """DIR with a registry of two versions: 1 was replaced as champion by 2. Only 2 is a whole backbone."""
    directory = tmp_path_factory.mktemp("embeddings")
    architecture = {"width": 4, "stem": "small", "seed": 1}
    network = build_backbone("small", resolution=16, normalization_layer=normalization.stock, **architecture)
    record = {"backbone": "small", **architecture, "embedding": dataclasses.asdict(Embedding(resolution=16)), "max_side": 64}
    whole = directory / "backbone"
    export_backbone(network, record, str(whole))
    other = directory / "other"
    other.mkdir()
    shutil.copy(whole / model_files.BACKBONE_KERAS, other)
    probe, early_probe = directory / "probe", directory / "early_probe"
    for one in (probe, early_probe):
        one.mkdir()
    (early_probe / model_files.PROBE_RECORD).write_text(json.dumps({}))  # as releases without calibration left it
    write_probe(probe, str(whole))
    registry = open_registry(str(Layout.at(str(directory / "DIR")).registry), Registry().name)
    for backbone, fitted, judged_against in ((other, early_probe, None), (whole, probe, "1")):
        publishing.publish(
            registry, backbone=str(backbone), probe=str(fitted), backbone_hash=content_hash(str(backbone)),
            probe_hash=content_hash(str(fitted)), tags={}, judged_against=judged_against, card="")  # fmt: skip
    return str(directory / "DIR")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Fourteen photographs at several depths in four formats, and three files that are none."""
    folder = pathlib.Path(tmp_path_factory.mktemp("photographs"))
    (folder / "deep" / "er").mkdir(parents=True)
    for seed in range(10):
        (folder / ("deep/er" if seed % 2 else ".") / f"{seed}.jpg").write_bytes(picture(seed))
    (folder / "large.png").write_bytes(picture(10, "PNG", (300, 200)))
    (folder / "small.webp").write_bytes(picture(11, "WEBP", lossless=True))
    (folder / "small.bmp").write_bytes(picture(11, "BMP"))
    (folder / "<img src=x onerror=alert(1)>.jpg").write_bytes(picture(12))
    (folder / "notes.jpg").write_text("no photograph")
    (folder / "cut.jpg").write_bytes(picture(13)[:300])
    (folder / "bomb.png").write_bytes(claiming(65_536, 65_536))
    (folder / ".hidden.jpg").write_bytes(picture(15))
    return folder
