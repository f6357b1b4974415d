"""SimSiam as lightly's documentation trains it: its heads, loss, transform and data set, PyTorch's loader. Imports nothing of this project.

Runs in an environment of its own (benchmarks/requirements-pytorch.txt). Photographs are JPEG files of 192 pixels, the side at which the
preset `cpu` stores them; one loading process a core, as its tutorials advise. --mode as in pytorch_step.py, without compile.
"""

import os
import tempfile

import numpy as np
import torch
import worker
from lightly.data import LightlyDataset
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
from lightly.transforms import SimSiamTransform
from PIL import Image
from pytorch_step import build_backbone
from torch import nn

SIDE = 192


def prepare(arguments):
    """The measure for worker.serve."""
    folder = tempfile.mkdtemp()
    random = np.random.default_rng(0)
    for index in range(worker.PHOTOGRAPHS):
        # Noise of 24 pixels, enlarged: files as large as photographs of this side.
        noise = Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        noise.save(os.path.join(folder, f"{index}.jpg"), quality=90)
    modes = arguments.mode.split(",")
    layout = torch.channels_last if "channels-last" in modes else torch.contiguous_format
    backbone, features = build_backbone(arguments.backbone, arguments.width)
    network = nn.ModuleDict({
        "backbone": backbone,
        "projector": SimSiamProjectionHead(features, 1024, 1024),
        "predictor": SimSiamPredictionHead(1024, 256, 1024),
    }).to(memory_format=layout)  # fmt: skip
    criterion = NegativeCosineSimilarity()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0125, momentum=0.9, weight_decay=1e-4)
    data = LightlyDataset(folder, transform=SimSiamTransform(input_size=arguments.resolution))
    loader = torch.utils.data.DataLoader(
        data, arguments.batch, shuffle=True, drop_last=True, num_workers=len(os.sched_getaffinity(0)), persistent_workers=True)

    def batches():
        while True:
            for views, *_ in loader:
                yield [view.to(memory_format=layout) for view in views]

    endless = batches()

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in modes):
            z = [network["projector"](network["backbone"](view)) for view in next(endless)]
            p = [network["predictor"](one) for one in z]
            loss = (criterion(p[0], z[1].detach()) + criterion(p[1], z[0].detach())) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return worker.timed(step, arguments.batch)


if __name__ == "__main__":
    worker.serve(prepare)
