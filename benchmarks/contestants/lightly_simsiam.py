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
        data, batch_size=arguments.batch, shuffle=True, drop_last=True, num_workers=torch.get_num_threads(), persistent_workers=True)  # fmt: skip
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    criterion = NegativeCosineSimilarity()
    optimizer = torch.optim.SGD(
        [*encoder.parameters(), *predictor.parameters()], lr=0.0125, momentum=0.9, weight_decay=1e-4)  # fmt: skip

    def step():
        view1, view2 = (view.to(memory_format=layout) for view in next(batches)[0])
        with pytorch_step.computing_in(arguments.precision):
            z1, z2 = encoder(view1), encoder(view2)
            p1, p2 = predictor(z1), predictor(z2)
            loss = 0.5 * (criterion(p1, z2.detach()) + criterion(p2, z1.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return worker.timed(step, arguments.batch)


if __name__ == "__main__":
    worker.serve(prepare)
