"""SimSiam's step in PyTorch on two constant batches of views, without an input pipeline. Imports nothing of this project.

Runs in an environment of its own (benchmarks/requirements-pytorch.txt). --mode has `channels-last` for PyTorch's layout of that name,
`compile` for torch.compile, both with a comma between them, or neither; --precision mixed_bfloat16 is PyTorch's autocast.
"""

import contextlib
import itertools

import torch
import torch.nn.functional as F
import worker
from torch import nn

BLOCKS = {"resnet18": (2, 2, 2, 2)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and their shortcut (He et al., arXiv 1512.03385)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        branch = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)), inplace=True)))
        return F.relu(branch + self.shortcut(x), inplace=True)


def build_backbone(name, width):
    """The published network with `width` channels in its first stage."""
    layers = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = width
    for stage, count in enumerate(BLOCKS[name]):
        for index in range(count):
            outputs = width * 2**stage
            layers.append(BasicBlock(channels, outputs, 2 if stage and not index else 1))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels


def arranged(encoder, mode):
    """The layout that `mode` asks for, and the encoder in it, compiled if it says so."""
    ways = mode.split(",")
    layout = torch.channels_last if "channels-last" in ways else torch.contiguous_format
    encoder = encoder.to(memory_format=layout)
    return layout, torch.compile(encoder) if "compile" in ways else encoder


def computing_in(precision):
    """The context in which the networks and the loss are called."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "mixed_bfloat16" else contextlib.nullcontext()


def negative_cosine(p, z):
    """SimSiam's D(p, z), averaged over the batch."""
    return -F.cosine_similarity(p, z).mean()


def learning(encoder, predictor, views, difference, precision):
    """A function that makes one step: with the next pair of `views`, and `difference(p, z)` as the loss of one of them."""
    optimizer = torch.optim.SGD(
        [*encoder.parameters(), *predictor.parameters()], lr=0.0125, momentum=0.9, weight_decay=1e-4)  # fmt: skip

    def step():
        view1, view2 = next(views)
        with computing_in(precision):
            z1, z2 = encoder(view1), encoder(view2)
            p1, p2 = predictor(z1), predictor(z2)
            loss = (difference(p1, z2.detach()) + difference(p2, z1.detach())) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def prepare(arguments):
    """The measure for worker.serve."""
    backbone, features = build_backbone(arguments.backbone, arguments.width)
    width, hidden = 1024, 256
    projector = nn.Sequential(
        nn.Linear(features, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True),
        nn.Linear(width, width, bias=False), nn.BatchNorm1d(width, affine=False))  # fmt: skip
    predictor = nn.Sequential(
        nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, width))  # fmt: skip
    encoder = nn.Sequential(backbone, projector)
    layout, encoder = arranged(encoder, arguments.mode)
    shape = (arguments.batch, 3, arguments.resolution, arguments.resolution)
    view1, view2 = (torch.rand(shape).to(memory_format=layout) for _ in range(2))
    views = itertools.repeat((view1, view2))
    return worker.timed(learning(encoder, predictor, views, negative_cosine, arguments.precision), arguments.batch)


if __name__ == "__main__":
    worker.serve(prepare)
