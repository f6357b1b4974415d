"""Every setting of the pipeline, as frozen dataclasses, and the three presets.

The command line picks a preset and overrides single fields (`--set pretrain.epochs=20`); components and trainers receive the
sections they need. This module imports nothing heavy, reads nothing and is the only place where a setting has a value.

| preset | command | what it is for |
|---|---|---|
| quick | `flowers run` | a proof on any machine, 2 minutes on two cores: 59 % linear top-1 with 300 labels, random-init baseline 38 % |
| cpu | `flowers run --preset cpu --data FOLDER` | 85 % on TensorFlow Flowers, baseline 68 %; 32 minutes on two cores with bfloat16 units |
| gpu | `flowers run --preset gpu --data FOLDER` | one or more GPUs, the paper's recipe |
"""

import dataclasses
import math
import re
import typing
from dataclasses import dataclass, field

# The pipeline's name for every runner; its caches and, on Vertex AI, its jobs belong to this name.
PIPELINE_NAME = "flowers"


class ConfigurationError(ValueError):
    """A setting has an unknown name or an invalid type or value; the message names it and says what is valid."""


def require(condition: bool, key: str, expected: str, received: object) -> None:
    """Raises ConfigurationError, naming the dotted `key`, unless `condition` holds."""
    if not condition:
        raise ConfigurationError(f"{key} must be {expected}, got {received!r}")


def require_ranges(section: object, name: str, **ranges: str) -> None:
    """Raises ConfigurationError unless each number lies in its range, which is finite: neither NaN nor an infinity ever does.

    Upper ends that no formula gives keep out what cannot be meant, such as a number with its exponent mistyped: each is ten times
    and more what anybody is known to use.

    Args:
      section: the frozen dataclass that has the numbers.
      name: its dotted key.
      ranges: for each field an interval as mathematicians write it: `[0, 1)` has 0, and not 1.
    """
    for key, interval in ranges.items():
        value = getattr(section, key)
        least, most = map(float, interval[1:-1].split(","))
        inside = (least < value or (value == least and interval[0] == "[")) and (
            value < most or (value == most and interval[-1] == "]"))  # fmt: skip
        words = f"between {_plainly(least)} and {_plainly(most)}"
        excluded = {"[]": "", "()": ", both excluded", "(]": f", {_plainly(least)} excluded", "[)": f", {_plainly(most)} excluded"}
        require(inside, f"{name}.{key}", words + excluded[interval[0] + interval[-1]], value)


def _plainly(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) and abs(number) < 1e15 else f"{number:g}"


# What TensorFlow, NumPy and scikit-learn all take as a seed.
SEEDS = f"[0, {2**31 - 1}]"


def how_to_run(default: float) -> typing.Any:
    """A field that says how a node runs, or is read before any node runs, and does not change any node's output.

    It is not part of a node's identity or of a checkpoint's key: changing it re-runs nothing.
    """
    return field(default=default, metadata={"how_to_run": True})


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def is_folder(source: str) -> bool:
    """Whether a source is a folder, by its name: not `synthetic`, and no data set of TensorFlow Datasets."""
    return source != "synthetic" and not source.startswith("tfds:")


# Where pre-training starts: at random weights, at a version in the registry, or at a network of others.
RANDOM, APPLICATION, KERAS_FILE = "random", "keras:", ".keras"


def is_network(start: str) -> bool:
    """Whether a value of pretrain.start names a network of others, a file or an application of Keras."""
    return start.startswith(APPLICATION) or start.endswith(KERAS_FILE)


def version_of(start: str) -> str | None:
    """Number or alias of the registered version that a value of pretrain.start names; None if it names none."""
    return None if start == RANDOM or is_network(start) else start


@dataclass(frozen=True)
class Data:
    """Where images come from and which of them are accepted."""

    # `synthetic`, `tfds:NAME`, or a folder.
    source: str = "synthetic"
    # A file that says which photograph of the folder shows what, CSV or Label Studio's JSON; empty: its class folders do.
    labels: str = ""
    # A second source, `tfds:NAME` or a folder, whose photographs are all used without labels; empty: none.
    unlabelled: str = ""
    # Glob patterns of files and folders in these folders that are passed over: `*.psd`, `drafts`, `rose/old*`.
    exclude: tuple[str, ...] = ()
    # Whether links that lead out of these folders are followed, to regular files. Off: an untrusted folder could name any file.
    follow_links: bool = False
    # Licence of the photographs, free text for the model card; empty: what TFDS states, or that it was not stated.
    licence: str = ""
    # How many flowers `synthetic` draws, the side of each picture in pixels, and the seed that determines all of them.
    synthetic_images: int = 2400
    # How many of the train split have labels; the others are learned from without. With 205 of all labels `quick` was 13 points
    # above its random-init baseline, one point more than the 12 that are to be shown; with these 300 it is 16.
    synthetic_labelled: int = 300
    synthetic_side: int = 64
    synthetic_seed: int = 7
    # Pixels of the shorter side beyond which a photograph is scaled down at ingest.
    max_side: int = 256
    # Pixels of the shorter side below which a photograph is refused: 16 is the least resolution that anything here trains or
    # embeds at, so that a smaller picture (an icon, a bullet, a page's counter) has less to show than the smallest backbone sees.
    min_side: int = 16
    # Pixels (width x height) beyond which a file is refused before it is decoded: 64 megapixels admit every
    # ordinary camera and keep one decoded image under 200 MB.
    max_pixels: int = 64_000_000
    # Two photographs are the same picture if their thumbnails of 16 x 16 pixels differ by at most this share of their contrast;
    # 0: only identical files are. Measured on 3,033 Flowers photographs: 2,700 copies of 300 of them (JPEG at quality 50 and 75,
    # WebP at 50, GIF, half and double size with four filters) differ from their originals by at most 0.20; among 4.6 million pairs
    # of the photographs themselves five differ by less (0 to 0.15, each the same picture on inspection), and the next pair, two
    # takes of one meadow, by 0.29.
    near_duplicate_distance: float = 0.22
    # What belongs together instead, never on both sides: `folder`, the photographs of a folder; or a regular expression, those in
    # whose paths it finds the same text (`session\d+`, or of `/(\w+)_\d+\.jpg` the parentheses); empty: near-duplicates.
    group_by: str = ""
    # Share of files that may be unreadable before the data is refused.
    max_bad_fraction: float = 0.01
    # Share of photographs held out for the gate where the source has no split of its own; 15 % as in the published
    # results on tf_flowers (train[:85%], train[85%:]).
    eval_fraction: float = 0.15
    # Least number of labelled photographs held out in a divided folder, but never more than half of each class: a verdict needs
    # more photographs than a probe. Where two probes disagree on a share s of n photographs, the standard error of the difference
    # of their accuracies is at most sqrt(s / n): 4.5 points for n = 150 and s = 0.3 (as `cpu` and its random-init baseline do on
    # tf_flowers), so that a gain of 12.4 points is proven four times in five (Connor's formula, docs/gate.md). From 1,000
    # photographs on, 15 % are as many.
    min_eval: int = 150

    def __post_init__(self):
        require(bool(self.source), "data.source", "synthetic, tfds:NAME or a folder", self.source)
        folder = is_folder(self.source)
        require(folder or not self.labels, "data.labels", f"empty, as data.source is {self.source}: a labels file is for a folder",
                self.labels)  # fmt: skip
        folders = folder or (self.unlabelled and not self.unlabelled.startswith("tfds:"))
        require(bool(folders) or not self.exclude, "data.exclude", "empty, as no folder is read", self.exclude)
        require(all(pattern.strip("/") for pattern in self.exclude), "data.exclude", "glob patterns that are not empty", self.exclude)
        require(bool(folders) or not self.follow_links, "data.follow_links", "false, as no folder is read", self.follow_links)
        require(self.unlabelled != "synthetic", "data.unlabelled", "tfds:NAME or a folder", self.unlabelled)
        require_ranges(
            self, "data", synthetic_images="[20, 1e6]", synthetic_labelled="[10, 1e6]", synthetic_side="[16, 1024]",
            synthetic_seed=SEEDS, max_side="[16, 16384]", min_side="[1, 16384]", max_pixels="[1024, 1e9]",
            max_bad_fraction="[0, 1]", eval_fraction="(0, 1)", min_eval="[0, 1e6]",
            near_duplicate_distance="[0, 1)")  # fmt: skip
        require(self.min_side <= self.max_side, "data.min_side", f"at most data.max_side ({self.max_side})", self.min_side)
        require(bool(folders) or not self.group_by, "data.group_by", "empty, as no folder is read", self.group_by)
        require(_is_pattern(self.group_by), "data.group_by", "`folder` or a regular expression", self.group_by)


@dataclass(frozen=True)
class Views:
    """The distribution of random views. Defaults: SimSiam's released code, after section 3 of arXiv 2011.10566."""

    # Smallest share of the photograph's area in a crop; the largest is the whole.
    min_area: float = 0.2
    # Widest aspect ratio of a crop, in the photograph's own pixels (its inverse is the narrowest).
    max_aspect: float = 4 / 3
    flip_probability: float = 0.5
    jitter_probability: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    # Share of the colour circle: 0.1 turns hues by up to 36 degrees either way.
    hue: float = 0.1
    grey_probability: float = 0.2
    blur_probability: float = 0.5
    # Range of the blur's standard deviation, in pixels of a view that is 224 pixels wide; scaled with the resolution.
    blur_min_sigma: float = 0.1
    blur_max_sigma: float = 2.0

    def __post_init__(self):
        require_ranges(
            self, "pretrain.views", min_area="(0, 1]", max_aspect="[1, 100]", flip_probability="[0, 1]",
            jitter_probability="[0, 1]", brightness="[0, 1)", contrast="[0, 1)", saturation="[0, 1)", hue="[0, 0.5]",
            grey_probability="[0, 1]", blur_probability="[0, 1]", blur_min_sigma="(0, 100]", blur_max_sigma="(0, 100]")  # fmt: skip
        require(self.blur_min_sigma <= self.blur_max_sigma, "pretrain.views.blur_min_sigma",
                f"at most blur_max_sigma ({self.blur_max_sigma:g})", self.blur_min_sigma)  # fmt: skip


BACKBONES = ("small", "resnet18", "resnet50")
STEMS = ("imagenet", "small")
# What pretrain.precision can be; AUTO is what the machine does faster, timed on real steps (trainer/precision.py).
AUTO = "auto"
PRECISIONS = (AUTO, "float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class WarmStart:
    """What pre-training starts from, which a run finds by pretrain.start. Empty: random weights."""

    # Version in the registry, for the record only.
    version: str = ""
    # Its backbone directory, or one with a copy of the network of others, local or remote, and that directory's
    # contracts.content_hash, which is checked before use.
    backbone: str = ""
    content_hash: str = ""
    # The network of others, `keras:NAME` or the name of its file, that this start is or that its version once started from; empty:
    # the project's own backbone.
    network: str = ""

    def __post_init__(self):
        require(bool(self.backbone) == bool(self.content_hash), "pretrain.warm_start.content_hash",
                "given together with pretrain.warm_start.backbone", self.content_hash)  # fmt: skip


@dataclass(frozen=True)
class Pretrain:
    """SimSiam pre-training (Trainer 1)."""

    backbone: str = "resnet18"
    # Channels of the first stage; 64 is the published ResNet.
    width: int = 64
    # `imagenet`: 7x7 convolution of stride 2 and max pooling. `small`: 3x3 convolution of stride 1, for images up to about 48
    # pixels.
    stem: str = "imagenet"
    # Side of a view in pixels.
    resolution: int = 64
    epochs: int = 100
    # Source images a step, over all devices and machines together; each gives view_count views.
    batch_size: int = 64
    # Views of a photograph, each of which predicts the mean of the others. 2 is the paper's.
    view_count: int = 2
    # The rate is base_learning_rate x batch_size / 256 (section 3 of the paper).
    base_learning_rate: float = 0.05
    momentum: float = 0.9
    # Coupled: added to the gradient before momentum, as in the released code.
    weight_decay: float = 1e-4
    projector_layers: int = 3
    projector_width: int = 2048
    predictor_width: int = 512
    views: Views = field(default_factory=Views)
    # What the backbone computes in; weights, statistics, heads and loss are always float32. CPUs without units for 16-bit numbers
    # are far slower with them.
    precision: str = "float32"
    # Whether views are computed side by side, each operation on one core, instead of each operation on all cores. It changes nothing with
    # a GPU, or with more cores than views.
    view_per_core: bool = False
    # Whether XLA compiles the step, except the views, where one device trains; several exchange in plain graphs. Slower on CPUs.
    xla: bool = False
    seed: int = 0
    # Where the weights come from: `random`, `champion` or another version in the registry (--warm-start VERSION says the same), or
    # the network of others that then is the backbone, FILE.keras or `keras:NAME`, a Keras application with its ImageNet weights.
    # What is found becomes warm_start, which decides what runs again.
    start: str = how_to_run(RANDOM)
    warm_start: WarmStart = field(default_factory=WarmStart)
    # Epochs and base rate of a run that does not start at random, instead of `epochs` and `base_learning_rate`. A third of the
    # epochs: the backbone has learned already, but the heads start from scratch. Half the rate: the full one would first undo what
    # the end of the last cosine schedule refined. Chosen by hand, not tuned.
    warm_start_epochs: int = how_to_run(30)
    warm_start_learning_rate: float = how_to_run(0.025)
    # Without this many GPUs a run on this machine is refused before it begins: what `gpu` trains in hours takes a processor weeks.
    # A task on Vertex AI needs as many as vertex.pretrain.accelerators says.
    min_gpus: int = how_to_run(0)
    # Whether to train on what there is where GPUs are missing; the same as --allow-cpu.
    allow_cpu: bool = how_to_run(False)
    # Seconds between checkpoints; a killed run loses at most this much work, or 20 times what writing one takes, if that is more.
    checkpoint_seconds: float = how_to_run(15.0)
    # Photographs are decoded once to squares of canvas_scale x resolution pixels, from which the views are cropped: 1.5 keeps
    # small crops sharp (a crop of 0.45 of the photograph's side still has two thirds of a view's pixels).
    canvas_scale: float = 1.5
    # Memory for all of these squares, in megabytes (10^6 bytes); if they need more, photographs are read and decoded again in
    # every epoch. 2,000 hold 72,000 photographs at 64 pixels (5,900 at 224) and leave room on a machine with 8 GB.
    memory_megabytes: float = how_to_run(2000.0)
    # Epochs between two measurements of kNN accuracy on the train split; 0 measures at the end only.
    knn_epochs: int = how_to_run(10)
    # Photographs of the train split on which kNN accuracy is measured: enough for a standard error of 1 %.
    knn_images: int = how_to_run(2000)
    # Seconds between two lines of progress.
    progress_seconds: float = how_to_run(10.0)
    # Collapse ends the run: standard deviation of the l2-normalised output over 1/sqrt(d) (1 is healthy, 0 collapsed) and
    # effective rank of the output (1 means that all outputs lie on one line). Healthy runs stayed above 0.97 and 20; a run that
    # collapses falls below a limit within some hundred steps (docs/monitors.md).
    min_output_std_ratio: float = 0.75
    min_effective_rank: float = 8.0

    def __post_init__(self):
        # Part of a path below DIR.
        application = self.start.removeprefix(APPLICATION)
        require(application.isidentifier() or application == self.start != "", "pretrain.start",
                "random, a registered version, FILE.keras or keras:NAME, a name of keras.applications", self.start)  # fmt: skip
        require(self.backbone in BACKBONES, "pretrain.backbone", f"one of {', '.join(BACKBONES)}", self.backbone)
        require(self.stem in STEMS, "pretrain.stem", f"one of {', '.join(STEMS)}", self.stem)
        require(self.precision in PRECISIONS, "pretrain.precision", f"one of {', '.join(PRECISIONS)}", self.precision)
        require(self.precision == "float32" or not self.warm_start.network, "pretrain.precision",
                f"float32, in which {self.warm_start.network} was built", self.precision)  # fmt: skip
        require(self.resolution % 8 == 0, "pretrain.resolution", "a multiple of 8", self.resolution)
        # A batch needs two photographs as batch normalisation needs several. The greatest rate is one with which the scaled one still
        # is a float32: far smaller ones diverge already, which ends the run with advice (docs/monitors.md).
        require_ranges(
            self, "pretrain", width="[4, 1024]", resolution="[16, 2048]", epochs="[1, 1e6]", batch_size="[2, 1e6]", view_count="[2, 64]",
            base_learning_rate="(0, 1e30]", momentum="[0, 1)", weight_decay="[0, 1e6]", projector_layers="[1, 20]",
            projector_width="[2, 65536]", predictor_width="[1, 65536]", seed=SEEDS, warm_start_epochs="[1, 1e6]",
            warm_start_learning_rate="(0, 1e30]", min_gpus="[0, 10000]", checkpoint_seconds="[0, 1e9]", canvas_scale="[1, 4]",
            memory_megabytes="(0, 1e9]", knn_epochs="[0, 1e6]", knn_images="[2, 1e6]", progress_seconds="[0, 1e9]",
            min_output_std_ratio="[0, 1)", min_effective_rank="[0, 65536]")  # fmt: skip


POOLINGS = ("mean", "deviation", "maximum")


@dataclass(frozen=True)
class Embedding:
    """How a photograph becomes an embedding: the features that the probe, kNN, the registry and its users get.

    The defaults are the paper's: one view, the last feature map averaged. docs/recipe.md has the gain of the other options.
    """

    # Side of a view in pixels; may be larger than pretrain.resolution.
    resolution: int = 224
    # How many stages are pooled, counted from the last.
    stages: int = 1
    # How each feature map becomes one number a channel: any of `mean`, `deviation` and `maximum`.
    pooling: tuple[str, ...] = ("mean",)
    # Side in pixels to which a whole photograph is scaled; 0 means resolution. If it is larger than resolution, four corners and
    # the centre at that scale are further views, and the features of all views are averaged.
    photograph_side: int = 0
    # Whether each view counts mirrored too.
    mirrored: bool = False

    @property
    def side(self) -> int:
        """Side of a whole photograph in pixels, as the embedding network takes it."""
        return self.photograph_side or self.resolution

    def __post_init__(self):
        require(self.resolution % 8 == 0, "embedding.resolution", "a multiple of 8", self.resolution)
        require_ranges(self, "embedding", resolution="[16, 2048]", stages="[1, 4]", photograph_side="[0, 16384]")
        require(len(self.pooling) > 0 and set(self.pooling) <= set(POOLINGS), "embedding.pooling",
                f"one or more of {', '.join(POOLINGS)}", self.pooling)  # fmt: skip
        require(self.side >= self.resolution, "embedding.photograph_side",
                f"0 or at least embedding.resolution ({self.resolution})", self.photograph_side)  # fmt: skip


@dataclass(frozen=True)
class LinearEval:
    """The linear probe (Trainer 2)."""

    # Candidates for the inverse strength of the probe's L2 regularisation; cross-validation inside the train split picks one.
    regularisation: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)
    folds: int = 5
    # Neighbours that vote in kNN accuracy; 20 is the usual choice where the training set is small.
    neighbours: int = 20
    # Share of the train labels that the few-label probe sees.
    label_fraction: float = 0.1
    # Shares of the train labels, at least one label a class, at which accuracy is measured for the curve over labels. 1 % and 10 %
    # are what papers on self-supervised learning report.
    label_fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 1.0)
    # Random draws of each share: with 5 the mean is 2.2 times as certain as a single draw, and the spread is known within a third
    # (its relative standard error is 1 / sqrt(2 (5 - 1))).
    label_draws: int = 5
    # Share of the predictions counted as sure that should be right: about as good as labels made by people, of which at least 3.3 %
    # are wrong on average in ten published test sets, and at least 6 % in ImageNet's (arXiv 2103.14749, abstract).
    precision: float = 0.95
    seed: int = 0

    def __post_init__(self):
        require(len(self.regularisation) > 0 and all(0 < c < math.inf for c in self.regularisation), "linear_eval.regularisation",
                "one or more positive numbers", self.regularisation)  # fmt: skip
        require_ranges(
            self, "linear_eval", folds="[2, 1000]", neighbours="[1, 1e6]", label_fraction="(0, 1]", label_draws="[1, 1000]",
            precision="(0, 1)", seed=SEEDS)  # fmt: skip
        shares = self.label_fractions
        require(len(shares) > 0 and 0 < shares[0] and shares[-1] <= 1 and all(a < b for a, b in zip(shares, shares[1:])),
                "linear_eval.label_fractions", "one or more growing numbers between 0 (excluded) and 1", shares)  # fmt: skip


@dataclass(frozen=True)
class Supervised:
    """Supervised training from scratch, which `flowers compare` sets beside SimSiam. Backbone, resolution, batch size, momentum and
    seed are those of `pretrain`, so that only what is learned from differs."""

    # The rate is base_learning_rate x batch_size / 256, as for SimSiam: 0.1 at a batch of 128, as for small images in He et al.,
    # arXiv 1512.03385, section 4.2.
    base_learning_rate: float = 0.2
    # Coupled, as there; five times the value there, as in Wide ResNets (arXiv 1605.07146, section 3) for data as small.
    weight_decay: float = 5e-4
    # Szegedy et al., arXiv 1512.00567, section 7.
    label_smoothing: float = 0.1
    # Smallest share of the photograph's area in a crop; the usual 0.08 of ImageNet's recipes leaves too little of a small photograph.
    min_area: float = 0.25
    # Views that it sees, by those that pre-training saw. Its steps see one view of a photograph where SimSiam's see
    # pretrain.view_count, so that it makes so many times the steps.
    views_ratio: float = 1.0

    @property
    def views(self) -> Views:
        """Crops and flips; colours stay, as they tell classes apart."""
        return Views(min_area=self.min_area, jitter_probability=0.0, grey_probability=0.0, blur_probability=0.0)

    def __post_init__(self):
        require_ranges(
            self, "supervised", base_learning_rate="(0, 1e30]", weight_decay="[0, 1e6]", label_smoothing="[0, 1)",
            min_area="(0, 1]", views_ratio="(0, 1000]")  # fmt: skip


# What gate.metric can be.
TOP1, MACRO = METRICS = ("top1", "macro")


@dataclass(frozen=True)
class Gate:
    """What a backbone has to prove on the eval split before it is registered: accuracies in [0, 1], and how sure is sure."""

    # By which figure it is judged: `top1`, the share of photographs that are classified correctly, or `macro`, that share averaged
    # over classes, for data in which some classes are much rarer than others and count no less.
    metric: str = "top1"
    min_accuracy: float = 0.55
    # Over the random-init baseline: the same probe on the same network untrained. Negative: no gain is asked for, nor proven.
    min_gain_over_random: float = 0.03
    # Or this share of what the baseline leaves to gain, where that is less: a baseline of 98 % can never be exceeded by 3 points, and
    # a tenth of its errors is a gain. It is less from a baseline of 70 % on.
    min_gain_share: float = 0.1
    # How far below champion and best version so far, on the same photographs, a candidate may fall and still be registered, without
    # the alias. With 455 photographs an equal candidate is refused 10 times in 100 at 3 points, and 33 at one (benchmarks/gate.py).
    max_regression: float = 0.03
    # Largest p of McNemar's test that proves a gain, or that the candidate is worse. One-sided, so half of the usual 5 %: the same
    # decision as by the 95 % interval that is shown beside it (ICH E9, section 5.5). Also how probable it may be that a champion ever
    # gives way to a version that is no better, over all that challenge it (components/evaluator/gate.py).
    significance: float = 0.025
    # How often the number of photographs that the verdict asks for should suffice; the usual value in planning trials.
    power: float = 0.8

    def __post_init__(self):
        require(self.metric in METRICS, "gate.metric", f"one of {', '.join(METRICS)}", self.metric)
        require_ranges(
            self, "gate", min_accuracy="[0, 1]", min_gain_over_random="[-1, 1]", min_gain_share="[0, 1]", max_regression="[0, 1]",
            significance="(0, 0.5)", power="[0.5, 1)")  # fmt: skip


# Address of a server, or nothing.
SERVER = r"(https?://[^/?#@\s]+/?)?"


@dataclass(frozen=True)
class Registry:
    """Where blessed backbones go."""

    # Name of the registered model; its versions count from 1.
    name: str = "flowers-backbone"
    # File, or address in a bucket, of the private key that signs versions; empty: DIR/keys/signing.pem, which the first push makes.
    # Versions on Vertex AI are signed only with a key of the user's own, as a bucket is no place to make one.
    signing_key: str = ""
    # http(s)://HOST:PORT of an MLflow server whose registry several machines share; empty: that of DIR, which needs no server.
    place: str = ""

    def __post_init__(self):
        # Records have the settings: no password among them.
        require(re.fullmatch(SERVER, self.place) is not None, "registry.place", "http(s)://HOST:PORT of an MLflow server (user "
                "and password belong into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD), or empty",
                self.place)  # fmt: skip
        valid = bool(self.name) and all(c.isalnum() or c in "-_." for c in self.name)
        require(valid, "registry.name", "letters, digits, '-', '_' and '.'", self.name)


@dataclass(frozen=True)
class Tracking:
    """Where the runs of this machine are recorded for MLflow, which draws and compares them. Changes no result."""

    # Empty: the registry's own database, which `flowers registry ui` shows. http(s)://HOST:PORT: MLflow's tracking server there.
    # off: nowhere.
    place: str = ""
    # Name of the experiment of MLflow that the runs belong to.
    experiment: str = PIPELINE_NAME
    # Seconds for which a run waits at its end until all is written: a page is written in a second, and a server that needs longer
    # than this is out of order.
    patience_seconds: float = 20.0

    def __post_init__(self):
        # Records have the settings: no password among them.
        require(re.fullmatch(f"{SERVER}|off", self.place) is not None, "tracking.place",
                "http(s)://HOST:PORT of MLflow's tracking server (user and password belong into MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD), off, or empty", self.place)  # fmt: skip
        require(bool(self.experiment.strip()), "tracking.experiment", "a name", self.experiment)
        require_ranges(self, "tracking", patience_seconds="[0, 3600]")


@dataclass(frozen=True)
class Worker:
    """The machine of a Vertex AI custom job. `vertex.target` knows which combinations exist."""

    # Eight cores and 32 GB: the photographs pass through the backbone once, which needs no GPU.
    machine_type: str = "n2-standard-8"
    # As in Vertex AI's AcceleratorType, such as NVIDIA_TESLA_A100; empty for none. `accelerators` is how many.
    accelerator: str = ""
    accelerators: int = 0
    # Spot machines cost less, and can be taken away at any time.
    spot: bool = False
    # Vertex AI's default and minimum.
    boot_disk_gb: int = 100
    # Hours after which the job is stopped.
    timeout_hours: float = 6.0

    def require_valid(self, key: str) -> None:
        require(bool(self.machine_type), f"{key}.machine_type", "a machine type such as n2-standard-8", self.machine_type)
        # 7 days are Vertex AI's limit.
        require_ranges(self, key, accelerators="[0, 16]", boot_disk_gb="[100, 64000]", timeout_hours="(0, 168]")


@dataclass(frozen=True)
class Vertex:
    """Where and as whom a compiled pipeline runs. Names only, no secrets: the spec contains these values."""

    # The paper's batch of 512 leaves each of four 40 GB GPUs 256 views, which is what ResNet-50 at 224 pixels is commonly given
    # (not measured here). Spot, because a checkpoint loses at most pretrain.checkpoint_seconds.
    pretrain: Worker = Worker(
        machine_type="a2-highgpu-4g", accelerator="NVIDIA_TESLA_A100", accelerators=4, spot=True, boot_disk_gb=200,
        timeout_hours=72.0)  # fmt: skip
    linear_eval: Worker = Worker()
    # CPUs and memory (GB) of the tasks that run Beam on their own machine: decoding and TFMA's ResNet-50 can use more than Vertex
    # AI's default of 4 and 16.
    beam_cpus: int = 8
    beam_memory_gb: int = 32
    # Most machines that Dataflow may use, if Beam tasks run there.
    dataflow_max_workers: int = 8
    # KEY=VALUE, on the pipeline job and on everything that it starts.
    labels: tuple[str, ...] = ()
    # Email of the service account that tasks run as; empty: the project's Compute Engine default.
    service_account: str = ""
    # projects/NUMBER/global/networks/NAME to peer with; empty: none.
    network: str = ""
    # projects/P/locations/L/keyRings/R/cryptoKeys/K that encrypts what Vertex AI stores; empty: Google's own.
    kms_key: str = ""
    # Serving container of registered versions, which Vertex AI requires; empty: Google's newest with TensorFlow. The pipeline
    # deploys nothing.
    serving_image: str = ""
    # Seconds that one call to Vertex AI may take, and seconds for which a failed call is retried: creating a pipeline job takes
    # seconds, and Google's servers are seldom unavailable for minutes.
    call_seconds: float = 30.0
    retry_seconds: float = 180.0
    # Seconds between two polls of a job with --wait, and hours after which waiting ends: Vertex AI's limit of 7 days for the
    # longest of its tasks.
    poll_seconds: float = 30.0
    wait_hours: float = 168.0

    def __post_init__(self):
        self.pretrain.require_valid("vertex.pretrain")
        self.linear_eval.require_valid("vertex.linear_eval")
        require_ranges(
            self, "vertex", beam_cpus="[1, 96]", beam_memory_gb="[4, 624]", dataflow_max_workers="[1, 1000]", call_seconds="(0, 86400]",
            retry_seconds="(0, 1e6]", poll_seconds="(0, 86400]", wait_hours="(0, 1e4]")  # fmt: skip
        for label in self.labels:
            require(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}", label) is not None, "vertex.labels",
                    "KEY=VALUE of lower-case letters, digits, '-' and '_', separated by commas", label)  # fmt: skip
        require(re.fullmatch(r"([a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com)?", self.service_account) is not None,
                "vertex.service_account", "a service account's email, ...gserviceaccount.com", self.service_account)  # fmt: skip
        require(re.fullmatch(r"(projects/[a-z0-9:.-]+/global/networks/[a-z0-9-]+)?", self.network) is not None,
                "vertex.network", "projects/NUMBER/global/networks/NAME", self.network)  # fmt: skip
        key = r"(projects/[a-z0-9:.-]+/locations/[a-z0-9-]+/keyRings/[\w-]+/cryptoKeys/[\w-]+)?"
        require(re.fullmatch(key, self.kms_key) is not None, "vertex.kms_key",
                "projects/P/locations/L/keyRings/R/cryptoKeys/K", self.kms_key)  # fmt: skip
        require(re.fullmatch(r"([\w.-]+(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})?)?", self.serving_image) is not None,
                "vertex.serving_image", "HOST/PATH:TAG or HOST/PATH@sha256:DIGEST", self.serving_image)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """A whole configuration: a preset's name and one section a stage."""

    preset: str
    data: Data
    pretrain: Pretrain
    embedding: Embedding
    linear_eval: LinearEval = field(default_factory=LinearEval)
    gate: Gate = field(default_factory=Gate)
    registry: Registry = field(default_factory=Registry)
    # What SimSiam is compared with, after a run.
    supervised: Supervised = field(default_factory=Supervised, metadata={"how_to_run": True})
    tracking: Tracking = field(default_factory=Tracking, metadata={"how_to_run": True})
    # Where and as whom, never what.
    vertex: Vertex = field(default_factory=Vertex, metadata={"how_to_run": True})


# On Vertex AI the presets that are made for processors train on the machine of the linear probe.
WITHOUT_GPU = Vertex(pretrain=Worker())

# The synthetic species differ by form alone, so the views change colour and light as far as they can: after 9 epochs linear
# top-1 was 7 % above its random-init baseline with these, and 1 % with colours as mild as the paper's.
QUICK = Config(
    preset="quick",
    vertex=WITHOUT_GPU,
    # The side at which they are drawn, so that nothing is scaled.
    data=Data(max_side=64),
    pretrain=Pretrain(
        # Three stages of one block: 2,040 photographs an epoch took 8 to 10 seconds on two cores.
        backbone="small", width=24, stem="small", resolution=32,
        # Four views make more of a step than two, for twice the time (docs/recipe.md).
        view_count=4,
        # 441 steps, with which set-up and run together take two to three minutes on two cores.
        epochs=7,
        # Small, so that few photographs make many steps: 63 an epoch.
        batch_size=32,
        # 0.3 a step: a schedule this short needs a high rate. With twice of it, results differ far more from seed to seed.
        base_learning_rate=2.4,
        # A third of the epochs, half the rate: see Pretrain.
        warm_start_epochs=2, warm_start_learning_rate=1.2,
        # The paper's value for small images (CIFAR-10).
        weight_decay=5e-4,
        # Heads in proportion to 96 features: the paper's CIFAR-10 projector of two layers, its predictor a quarter as wide.
        projector_layers=2, projector_width=256, predictor_width=64,
        views=Views(
            # Blossoms are small in a bed of them, and form is all that tells species apart: 60 % of the area still holds most of them.
            min_area=0.6,
            # All hues, strong changes, and every second view grey: see above.
            jitter_probability=1.0, brightness=0.6, contrast=0.6, saturation=0.8, hue=0.5, grey_probability=0.5,
            # At 32 pixels a blur of the paper's relative size would erase the petals.
            blur_probability=0.0),
        knn_epochs=2,
    ),
    embedding=Embedding(resolution=32),
    # Twice chance (five species in equal parts).
    gate=Gate(min_accuracy=0.4),
)  # fmt: skip

CPU = Config(
    preset="cpu",
    vertex=WITHOUT_GPU,
    # The embedding's photograph_side, and three times the resolution: crops of a ninth of the area still have all their pixels.
    data=Data(max_side=192),
    pretrain=Pretrain(
        # Half the published width: in the time of 100 epochs at the whole one, it learns more from 200 (docs/recipe.md).
        backbone="resnet18", width=32, stem="imagenet", resolution=64,
        # FastSiam's (Pototzky et al. 2022): as many views as 200 epochs with two, but far better than those.
        view_count=4,
        # docs/recipe.md has accuracy over epochs: from 100 to 200 it rises by 4 points.
        epochs=200,
        # bfloat16 where a processor has units for it: there it takes 0.6 of the time for the same accuracy (three seeds, docs/recipe.md).
        precision="auto",
        # Faster on two cores, mostly by a third or more, as its operations are small (docs/speed.md).
        view_per_core=True,
        # Twice the steps of 64, for a seventh more time of one core: as much by the probe, and 2 points more by kNN (docs/recipe.md).
        batch_size=32,
        # Well over the paper's: 0.2, with the paper's colours, needed 70 epochs for 62 %. At 1 the projections keep fewer of their
        # dimensions in as many epochs.
        base_learning_rate=0.7,
        # A third of the epochs, half the rate: see Pretrain.
        warm_start_epochs=67, warm_start_learning_rate=0.35,
        # The paper's value for small images (CIFAR-10).
        weight_decay=5e-4,
        # The paper's CIFAR-10 projector of two layers, at half its width, its predictor a quarter of that.
        projector_layers=2, projector_width=1024, predictor_width=256,
        # Colour tells flowers apart, so hues change little and few views are grey. No blur, as the paper leaves it out for
        # small images.
        views=Views(min_area=0.15, hue=0.02, grey_probability=0.1, blur_probability=0.0)),
    # Together these lift the probe from 66 % to 80 %, cross-validated on tf_flowers' train split; docs/recipe.md has each step.
    embedding=Embedding(
        # Twice the resolution of pre-training. Parts of two thirds of the photograph's side are about as large in a view as the
        # crops that pre-training saw.
        resolution=128, photograph_side=192,
        # Colour and texture, which early stages see, tell flowers apart too. Deviations and mirrored views added 0 and 0.7 %: not
        # worth a third more features and twice the time.
        stages=4, pooling=("mean", "maximum")),
)  # fmt: skip

GPU = Config(
    preset="gpu",
    # Somewhat over the resolution, so that crops keep their detail.
    data=Data(max_side=320),
    # The paper's baseline (section 3) and every default above: 68.1 % on ImageNet after 100 epochs.
    pretrain=Pretrain(
        backbone="resnet50",
        resolution=224,
        epochs=100,
        # Canvases of 320 pixels, the side of the photographs: larger ones would only be scaled up.
        canvas_scale=320 / 224,
        # Over all GPUs together; must be a multiple of their number.
        batch_size=512,
        # Half the memory traffic, and tensor cores, with float32's range, so that the loss needs no scaling. For the A100 and
        # later; T4 and V100 have no units for bfloat16: use mixed_float16 there, which scales the loss.
        precision="mixed_bfloat16",
        # Fuses the operations between convolutions, on one GPU.
        xla=True,
        min_gpus=1,
    ),
    # The paper's linear evaluation: the last feature map of one view at 224 pixels, averaged.
    embedding=Embedding(),
)

PRESETS = {config.preset: config for config in (QUICK, CPU, GPU)}


def to_dict(section: object) -> dict:
    """A section (or a whole Config) as plain dictionaries, lists and scalars, ready for JSON."""
    return dataclasses.asdict(section)


def identity(section: object) -> dict:
    """`to_dict` without the fields that only say how to run: what the output of a node that reads the section depends on."""
    values = to_dict(section)
    for one in dataclasses.fields(section):
        if one.metadata.get("how_to_run"):
            del values[one.name]
        elif dataclasses.is_dataclass(value := getattr(section, one.name)):
            values[one.name] = identity(value)
    return values


def ingest(data: Data) -> dict:
    """The settings that ExampleGen's output depends on: changing any other needs no new ingest."""
    # The share of bad files is judged by DataGate, the licence written down by the Pusher.
    values = {key: value for key, value in identity(data).items() if key not in ("max_bad_fraction", "licence")}
    if data.source == "synthetic" or data.source.startswith("tfds:"):
        del values["min_eval"]  # these have splits already
        if not data.unlabelled or data.unlabelled.startswith("tfds:"):
            del values["exclude"], values["follow_links"], values["group_by"]  # no folder is read
    if data.source == "synthetic":
        return values
    return {key: value for key, value in values.items() if not key.startswith("synthetic_")}


def running(section: object) -> dict:
    """The fields of a section that only say how to run."""
    return {one.name: getattr(section, one.name) for one in dataclasses.fields(section) if one.metadata.get("how_to_run")}
