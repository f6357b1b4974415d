"""Made photographs and folders of them, shared by this directory's tests."""

import io

import numpy as np
import pytest
from PIL import Image


def made_photograph(seed: int, format: str = "JPEG", size: tuple[int, int] = (48, 36), **options) -> bytes:
    """A smooth random picture, different for every seed, as an encoded file."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def photograph_bytes():
    return made_photograph


@pytest.fixture
def flowers(tmp_path):
    """A folder of two classes, ten photographs each."""
    root = tmp_path / "flowers"
    for label, name in enumerate(("daisy", "rose")):
        (root / name).mkdir(parents=True)
        for index in range(10):
            (root / name / f"{index}.jpg").write_bytes(made_photograph(100 * label + index))
    return root
