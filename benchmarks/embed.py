"""Images a second of `flowers embed`: prints a table for the network of a preset, untrained.

    python benchmarks/embed.py
    python benchmarks/embed.py --preset quick --images 2000

Images are synthetic flowers, saved as JPEG of --side pixels. Rows differ in the photographs a step of the network and in the
threads that read and decode; the row that inference/embed.py uses is marked. CPU milliseconds an image include all threads of
the process, and so depend less on other work of the machine. benchmarks/embeddings.py compares variants of the embedding itself.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

from contracts import libraries

libraries.set_variables()

import pipeline_config
from components.example_gen.source import every_image
from components.synthetic_flowers import scene
from contracts.content_hash import content_hash
from contracts.cores import cores
from inference.embed import Backbone
from inference.registered import Registered
from trainer import normalization
from trainer.backbones import build_backbone
from trainer.export import export_backbone

embed = sys.modules["inference.embed"]  # the module, which the function of the same name shadows

BATCHES = (8, 16, 32, 64)
THREADS = (1, 2, 4)


def export(preset: str, directory: str) -> Registered:
    """An untrained backbone of a preset: the weights do not change the speed."""
    config = pipeline_config.PRESETS[preset]
    architecture = {field: getattr(config.pretrain, field) for field in ("width", "stem", "seed")}
    network = build_backbone(
        config.pretrain.backbone, resolution=config.pretrain.resolution, normalization_layer=normalization.stock, **architecture
    )
    record = {"backbone": config.pretrain.backbone, **architecture, "embedding": pipeline_config.to_dict(config.embedding),
              "max_side": config.data.max_side}  # fmt: skip
    export_backbone(network, record, directory)
    return Registered("benchmark", "1", directory, content_hash(directory))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cpu", choices=sorted(pipeline_config.PRESETS))
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--side", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photographs = pathlib.Path(folder, "photographs")
        photographs.mkdir()
        for number in range(64):
            jpeg = scene.draw_jpeg(7, number, arguments.side)
            for copy in range(number, arguments.images, 64):
                (photographs / f"{copy}.jpg").write_bytes(jpeg)
        backbone = Backbone(export(arguments.preset, os.path.join(folder, "backbone")))
        used = embed.BATCH, min(cores(), embed.MOST_THREADS)
        rows = [(batch, used[1]) for batch in BATCHES] + [(used[0], threads) for threads in THREADS]
        print(f"{arguments.preset}: {arguments.images} JPEGs of {arguments.side} pixels, {cores()} cores")
        print("batch  threads  images/s  CPU ms/image")
        for batch, threads in dict.fromkeys([*rows, used]):
            embed.BATCH, embed.cores = batch, lambda threads=threads: threads
            list(embed.batches(backbone, every_image(str(photographs), "", 1 << 30)))  # the first run fills the file cache
            wall, cpu = time.perf_counter(), time.process_time()
            list(embed.batches(backbone, every_image(str(photographs), "", 1 << 30)))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{batch:5d}  {threads:7d}  {arguments.images / wall:8.1f}  {1000 * cpu / arguments.images:12.1f}"
                  f"{'  used' if (batch, threads) == used else ''}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
