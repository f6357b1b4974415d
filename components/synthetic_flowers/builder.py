"""The synthetic flowers as a TFDS data set, generated with Beam.

ExampleGen calls `prepare`. The data set is complete or not there at all: TFDS writes into an `…incomplete…` directory and renames
it at the end. The same parameters find the same data set again; other parameters have a directory of their own.
"""

import dataclasses
import logging

import apache_beam as beam
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from etils import epath

from components.synthetic_flowers import scene
from components.synthetic_flowers.species import NAMES
from contracts import source_code
from contracts.examples import EVAL, NO_LABEL, TRAIN, UNLABELLED

MIN_IMAGES = 20

logger = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class SyntheticFlowersConfig(tfds.core.BuilderConfig):
    """What determines the data set, besides the builder's version; all of it is in the `name`, also the directory's name."""

    images: int = 0
    train_images: int = 0
    side: int = 0
    seed: int = 0
    eval_images: int = 0


def configuration(images: int, labelled: int, side: int, seed: int, eval_fraction: float) -> SyntheticFlowersConfig:
    """Checks the parameters and returns the configuration.

    Raises:
        ValueError: A parameter is out of range.
    """
    check("images", images >= MIN_IMAGES, f"at least {MIN_IMAGES}", images)
    check("labelled", labelled >= 2 * len(NAMES), f"at least {2 * len(NAMES)}, two of each species", labelled)
    check("side", 16 <= side <= 1024, "between 16 and 1024 pixels", side)
    check("seed", seed >= 0, "0 or more", seed)
    check("eval_fraction", 0 < eval_fraction < 1, "between 0 and 1, both excluded", eval_fraction)
    # Pictures take turns through the species: five in a row hold all of them, ten leave two of each to train on.
    species = len(NAMES)
    eval_images = min(max(round(images * eval_fraction), species), images - 2 * species)
    train_images = min(labelled, images - eval_images)
    name = f"images-{images}_train-{train_images}_side-{side}_seed-{seed}_eval-{eval_images}_code-{drawing_code()}"
    return SyntheticFlowersConfig(
        name=name, images=images, train_images=train_images, side=side, seed=seed, eval_images=eval_images)  # fmt: skip


def drawing_code() -> str:
    """A hash of the code that draws: other code may draw other flowers.

    It is part of the data set's name and of the source's fingerprint, so that neither serves what older code drew.
    """
    return source_code.version(source_code.file_hashes([__name__]))


def check(name: str, valid: bool, expected: str, received: object) -> None:
    """Raises ValueError unless `valid`."""
    if not valid:
        raise ValueError(f"{name} of the synthetic flowers must be {expected}, got {received!r}")


class SyntheticFlowers(tfds.core.GeneratorBasedBuilder):
    """Flowers drawn by formula; the configuration says how many, how large and from which seed."""

    VERSION = tfds.core.Version("2.1.0")
    # TFDS 4.9.10 would look for this file by means of importlib_resources, which it imports but does not require.
    code_path = epath.Path(__file__)
    RELEASE_NOTES = {
        "2.0.0": "Beds of dahlia, daisy, lily, poppy or primrose, even in brightness and colour.",
        "2.1.0": "A split of flowers without labels.",
    }

    def _info(self) -> tfds.core.DatasetInfo:
        """Features `image` (JPEG) and `label` (the five species' names, alphabetically)."""
        return self.dataset_info_from_configs(
            description="Five species of flowers, drawn by formula and told apart by form, not by colour.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=list(NAMES)),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        """The first pictures are for training with labels, the last ones for evaluation, those between have no labels."""
        del dl_manager  # nothing to download
        config = self.builder_config
        rest = config.images - config.eval_images
        splits = {TRAIN: range(config.train_images), EVAL: range(rest, config.images)}
        if config.train_images < rest:
            splits[UNLABELLED] = range(config.train_images, rest)
        return {split: self._generate_examples(indices, split != UNLABELLED) for split, indices in splits.items()}

    def _generate_examples(self, indices: range, labelled: bool) -> beam.PTransform:
        """Pictures by index, as pairs of key and example; Beam draws them."""
        seed, side = self.builder_config.seed, self.builder_config.side
        return beam.Create(list(indices)) | beam.Reshuffle() | beam.Map(example, seed=seed, side=side, labelled=labelled)


def example(index: int, seed: int, side: int, labelled: bool = True) -> tuple[int, dict]:
    """One record of the data set: its key and its features; the image is JPEG bytes, which TFDS stores as they are."""
    return index, {"image": scene.draw_jpeg(seed, index, side), "label": scene.label(index) if labelled else NO_LABEL}


def prepare(data_dir: str, images: int, labelled: int, side: int, seed: int, eval_fraction: float) -> tfds.core.DatasetBuilder:
    """Finds the data set of these parameters below `data_dir`, or draws it there.

    Args:
        data_dir: Directory for generated data sets; made if missing.
        images: How many pictures in all splits together, at least 20.
        labelled: How many of those that are not in `eval` have labels, at least 10; the others are in the split `unlabelled`.
        side: Their width and height in pixels, 16 to 1024.
        seed: Determines every picture, together with its index.
        eval_fraction: Share of the pictures in the split `eval`; each species is in both splits, whatever the share.

    Returns:
        A builder with the splits `train`, `eval` and, unless all have labels, `unlabelled`, ready for `tfds.beam.ReadFromTFDS` and
        `as_dataset`.

    Raises:
        ValueError: A parameter is out of range.
    """
    config = configuration(images, labelled, side, seed, eval_fraction)
    builder = SyntheticFlowers(config=config, data_dir=data_dir)
    if builder.is_prepared():
        return builder
    logger.info("Drawing %d flowers of %d x %d pixels.", images, side, side)
    # In one thread: with several, Beam hands elements on by gRPC, and two of three runs in a container ended with one that it
    # could not decode (apache/beam issues 21104 and 22321 describe the like).
    options = PipelineOptions([])
    options.view_as(DirectOptions).direct_running_mode = "in_memory"
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            # Not DirectRunner, which first tries Prism, whose executable it downloads.
            beam_runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner",
            beam_options=options,
            try_download_gcs=False,
            compute_stats=tfds.download.ComputeStatsMode.SKIP,
        )
    )
    return builder
