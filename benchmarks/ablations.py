"""The paper's two ablations beside SimSiam itself, on synthetic flowers, with the monitors' figures: prints a table.

    python benchmarks/ablations.py [--preset quick] [--set KEY=VALUE]… [--images 1000] [--epochs 4] [--seeds 2]

Each variant trains with the preset's settings, but no monitor ends it, so that the table shows how the figures develop. `stopped`
names the monitor whose limit in the preset would have ended the run: `deviation` (pretrain.min_output_std_ratio) or `rank`
(pretrain.min_effective_rank). docs/monitors.md derives the limits from this table.
"""

import argparse
import dataclasses
import tempfile

import numpy as np
from presets import configuration

from components.synthetic_flowers import scene
from components.synthetic_flowers.species import NAMES
from pipeline_config import Pretrain
from trainer import photographs, simsiam
from trainer.loop import pretrain
from trainer.simsiam import build_simsiam

VARIANTS = {
    "SimSiam": lambda model: model,
    "without stop-gradient": simsiam.without_stop_gradient,
    "without predictor": simsiam.without_predictor,
}
FLOWERS_SEED = 7


def main() -> None:
    """Trains every variant and prints a line for each epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    config = configuration(arguments.preset, arguments.overrides)
    settings = dataclasses.replace(config.pretrain, epochs=arguments.epochs)
    flowers = draw(arguments.images, config.data.synthetic_side, round(settings.resolution * settings.canvas_scale))
    print(f"preset {arguments.preset} {' '.join(arguments.overrides)}, {arguments.images} synthetic flowers, "
          f"{arguments.images // settings.batch_size} steps an epoch")  # fmt: skip
    print(f"{'':23}{'seed':>5}{'epoch':>6}{'loss':>8}{'deviation':>11}{'rank':>7}{'kNN':>8}  stopped")
    for name, ablate in VARIANTS.items():
        for seed in range(arguments.seeds):
            for entry in history(flowers, dataclasses.replace(settings, seed=seed), ablate, config.linear_eval.neighbours):
                print(f"{name:23}{seed:5}{entry['epoch']:6}{entry['loss']:8.3f}{entry['output_std_ratio']:11.3f}"
                      f"{entry['effective_rank']:7.1f}{entry['knn_train_top1']:8.1%}  {stopped_by(entry, settings)}",
                      flush=True)  # fmt: skip


def draw(count: int, drawn_side: int, side: int) -> photographs.Photographs:
    """Synthetic flowers as a train split of canvases of `side` pixels, drawn at `drawn_side`."""
    canvases = [photographs.canvas(scene.draw(FLOWERS_SEED, index, drawn_side), side).numpy() for index in range(count)]
    labels = np.array([scene.label(index) for index in range(count)])
    return photographs.Photographs(np.stack(canvases), np.ones(count, np.float32), labels, tuple(NAMES))


def history(flowers: photographs.Photographs, settings: Pretrain, ablate, neighbours: int) -> list[dict]:
    """One entry an epoch of a run that no monitor ends."""
    unwatched = dataclasses.replace(settings, min_output_std_ratio=0.0, min_effective_rank=0.0, knn_epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        return pretrain(
            flowers, unwatched, checkpoint_dir=f"{folder}/checkpoints", log_dir=f"{folder}/log", neighbours=neighbours,
            model=ablate(build_simsiam(settings))).report["history"]  # fmt: skip


def stopped_by(entry: dict, settings: Pretrain) -> str:
    """The monitors below their limits after this epoch, by the names in the table."""
    below = {
        "deviation": entry["output_std_ratio"] < settings.min_output_std_ratio,
        "rank": entry["effective_rank"] < settings.min_effective_rank,
    }
    return ", ".join(name for name, stops in below.items() if stops) or "-"


if __name__ == "__main__":
    main()
