"""Twenty steps of SimSiam in PyTorch: writes simsiam_trajectory.npz, which tests/trainer/test_trajectory.py compares with.

    python tests/golden/make_simsiam_trajectory.py

Needs nothing but PyTorch and NumPy (benchmarks/requirements-pytorch.txt), and nothing of this project. Written after the paper
(arXiv 2011.10566, algorithm 1 and section 3) out of PyTorch's own parts: torch.nn.BatchNorm, torch.nn.CosineSimilarity, autograd,
torch.optim.SGD. Everything is computed in float64, so that what differs is rounding in the implementation under test.
"""

import math
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

OUTPUT = pathlib.Path(__file__).parent / "simsiam_trajectory.npz"
# Of 200 seeds the one whose inputs of ReLU keep farthest from 0 over all steps, so that rounding decides nothing. Near 0 it would
# decide whether a gradient flows, and twenty steps multiply that: with 1.6 for a rate and offsets near 0, PyTorch's own losses in
# float32 and in float64 differed by up to 9e-2.
SEED = 117
STEPS, BATCH, SIDE = 20, 8, 16
# Three stages of one basic block; the features of the last, three layers of projector, a narrower predictor.
CHANNELS, PROJECTOR_LAYERS, PROJECTOR_WIDTH, PREDICTOR_WIDTH = (4, 8, 16), 3, 16, 8
# The paper's momentum. Rate and weight decay are higher than its own, so that 20 steps show what each of them does.
BASE_RATE, MOMENTUM, WEIGHT_DECAY = 0.2, 0.9, 2e-2
# ImageNet's, as everywhere in PyTorch.
PIXEL_MEAN, PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ReLU(nn.Module):
    """ReLU that remembers how near to 0 its inputs came."""

    margin = math.inf

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ReLU.margin = min(ReLU.margin, float(x.detach().abs().min()))
        return functional.relu(x)


def convolve(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """`layer` with TensorFlow's padding: a stride of 2 on an even side pads below and to the right only, not all round."""
    total = layer.kernel_size[0] - layer.stride[0] if layer.kernel_size[0] > 1 else 0
    return layer(functional.pad(x, (total // 2, total - total // 2) * 2))


class Block(nn.Module):
    """A basic residual block; a projection in the shortcut where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.relu = ReLU()
        if stride != 1:
            self.shortcut_conv = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.norm1(convolve(self.conv1, x)))
        y = self.norm2(convolve(self.conv2, y))
        shortcut = self.shortcut_norm(convolve(self.shortcut_conv, x)) if hasattr(self, "shortcut_conv") else x
        return self.relu(y + shortcut)


class Backbone(nn.Module):
    """A small ResNet: from pixels in [0, 1] to pooled features."""

    def __init__(self):
        super().__init__()
        self.stem_conv = nn.Conv2d(3, CHANNELS[0], 3, bias=False)
        self.stem_norm = nn.BatchNorm2d(CHANNELS[0])
        self.relu = ReLU()
        self.stage1 = Block(CHANNELS[0], CHANNELS[0], 1)
        self.stage2 = Block(CHANNELS[0], CHANNELS[1], 2)
        self.stage3 = Block(CHANNELS[1], CHANNELS[2], 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = (pixels - pixels.new_tensor(PIXEL_MEAN)[:, None, None]) / pixels.new_tensor(PIXEL_STD)[:, None, None]
        x = self.relu(self.stem_norm(convolve(self.stem_conv, x)))
        return self.stage3(self.stage2(self.stage1(x))).mean(dim=(2, 3))


def projector() -> nn.Sequential:
    """Linear and normalisation in each layer, ReLU in all but the last, whose normalisation is not affine."""
    layers, width = [], CHANNELS[-1]
    for index in range(PROJECTOR_LAYERS):
        last = index == PROJECTOR_LAYERS - 1
        layers += [nn.Linear(width, PROJECTOR_WIDTH, bias=False), nn.BatchNorm1d(PROJECTOR_WIDTH, affine=not last)]
        layers += [] if last else [ReLU()]
        width = PROJECTOR_WIDTH
    return nn.Sequential(*layers)


def predictor() -> nn.Sequential:
    """Normalisation and ReLU on the hidden layer only; a bias on the output."""
    return nn.Sequential(
        nn.Linear(PROJECTOR_WIDTH, PREDICTOR_WIDTH, bias=False), nn.BatchNorm1d(PREDICTOR_WIDTH), ReLU(),
        nn.Linear(PREDICTOR_WIDTH, PROJECTOR_WIDTH))  # fmt: skip


def give_weights(network: nn.Module, random: np.random.Generator) -> None:
    """Sets every weight; scales near 1, offsets at some distance from 0 on either side (see SEED)."""
    for parameter in network.parameters():
        if parameter.dim() == 1:
            values = random.uniform(1.2, 1.8, parameter.shape) * random.choice([-1, 1], parameter.shape)
        else:
            values = random.normal(0, math.sqrt(2 / parameter[0].numel()), parameter.shape)
        parameter.data = torch.tensor(values.astype(np.float32)).double()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
            module.weight.data = 1 + module.weight.data / 10


def draw_views(random: np.random.Generator) -> np.ndarray:
    """Two distorted versions of the same random blots, `[STEPS, 2, BATCH, SIDE, SIDE, 3]` uint8."""
    blots = random.uniform(40, 215, (STEPS, 1, BATCH, 4, 4, 3)).repeat(SIDE // 4, axis=3).repeat(SIDE // 4, axis=4)
    views = blots + random.normal(0, 8, (STEPS, 2, BATCH, SIDE, SIDE, 3)) + random.normal(0, 8, (STEPS, 2, BATCH, 1, 1, 3))
    return views.round().clip(0, 255).astype(np.uint8)


def main() -> None:
    """Trains and writes."""
    random = np.random.default_rng(SEED)
    networks = nn.ModuleDict({"backbone": Backbone(), "projector": projector(), "predictor": predictor()}).double()
    give_weights(networks, random)
    views = draw_views(random)
    f, h = nn.Sequential(networks["backbone"], networks["projector"]), networks["predictor"]
    initial_rate = BASE_RATE * BATCH / 256
    optimizer = torch.optim.SGD(
        [{"params": f.parameters(), "fixed": False}, {"params": h.parameters(), "fixed": True}],
        lr=initial_rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)  # fmt: skip
    similarity = nn.CosineSimilarity(dim=1)

    arrays = {f"initial/{name}": tensor.clone() for name, tensor in networks.named_parameters()}
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = initial_rate if group["fixed"] else initial_rate * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        x1, x2 = torch.tensor(views[step]).double().div(255).permute(0, 1, 4, 2, 3)
        z1, z2 = f(x1), f(x2)
        p1, p2 = h(z1), h(z2)
        loss = -similarity(p1, z2.detach()).mean() / 2 - similarity(p2, z1.detach()).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            arrays |= {f"gradient/{name}": parameter.grad.clone() for name, parameter in networks.named_parameters()}
        norms.append([parameter.grad.norm() for parameter in networks.parameters()])
        optimizer.step()
        losses.append(loss.detach())

    # After the last step: weights, and the running mean and variance of every normalisation.
    final = {name: tensor for name, tensor in networks.state_dict().items() if "num_batches" not in name}
    arrays |= {f"final/{name}": tensor for name, tensor in final.items()}
    arrays |= {f"momentum/{name}": optimizer.state[parameter]["momentum_buffer"] for name, parameter in networks.named_parameters()}
    numbers = {name: tensor.detach().numpy().astype(np.float32) for name, tensor in arrays.items()}
    settings = {
        "steps": STEPS, "batch_size": BATCH, "resolution": SIDE, "width": CHANNELS[0], "projector_layers": PROJECTOR_LAYERS,
        "projector_width": PROJECTOR_WIDTH, "predictor_width": PREDICTOR_WIDTH, "base_learning_rate": BASE_RATE,
        "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY}  # fmt: skip
    np.savez_compressed(
        OUTPUT, **numbers, **{f"settings/{name}": np.array(value) for name, value in settings.items()}, views=views,
        losses=np.array(losses, np.float32), gradient_norms=np.array(norms, np.float32),
        parameters=np.array([name for name, _ in networks.named_parameters()]))  # fmt: skip
    print(f"{OUTPUT}: loss {losses[0]:.6f} at step 1, {losses[-1]:.6f} at step {STEPS}; nearest to ReLU's kink {ReLU.margin:.1e}")


if __name__ == "__main__":
    main()
