"""SimSiam as the users of lightly run it: its transforms, its heads and loss, a data set of files, PyTorch's DataLoader.

Runs in an environment of its own (benchmarks/requirements-lightly.txt); imports nothing of this project. --photographs is a folder of
image files. --mode and --precision as in pytorch_step.py.
"""

import itertools

import pytorch_step
import torch
import worker
from lightly.data import LightlyDataset
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
from lightly.transforms import SimSiamTransform


def prepare(arguments):
    """The measure for worker.serve."""
    backbone, features = pytorch_step.build_backbone(arguments.backbone, arguments.width)
    encoder = torch.nn.Sequential(backbone, SimSiamProjectionHead(features, 1024, 1024))
    predictor = SimSiamPredictionHead(1024, 256, 1024)
    layout, encoder = pytorch_step.arranged(encoder, arguments.mode)
    data = LightlyDataset(arguments.photographs, transform=SimSiamTransform(input_size=arguments.resolution))
    loader = torch.utils.data.DataLoader(
        data, batch_size=arguments.batch, shuffle=True, drop_last=True, num_workers=torch.get_num_threads(), persistent_workers=True
    )
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    views = ((view.to(memory_format=layout) for view in pair) for pair, *_ in batches)
    step = pytorch_step.learning(encoder, predictor, views, NegativeCosineSimilarity(), arguments.precision)
    return worker.timed(step, arguments.batch)


if __name__ == "__main__":
    worker.serve(prepare)
