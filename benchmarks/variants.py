"""Variants of SimSiam's step at equal time: trains one by a preset and overrides, and prints a row. Held-out photographs are never opened.

    python benchmarks/variants.py EXAMPLES --minutes 10 [--variant NAME=VALUE]... [--preset cpu] [--set KEY=VALUE]... [--record FILE]

EXAMPLES are the photographs of any run (runs/artifacts/ExampleGen/examples/N). It computes in float32 unless pretrain.precision
is set. The steps that fit into --minutes follow from the time of the first ones, so that variants of different cost get equal
time; --epochs N trains so many instead (0: the random-init baseline).
Variants:

    small=N         N more views of half the side and at most small_area of the photograph, which predict the mean of the others
                    (multi-crop, Caron et al., arXiv 2006.09882), small_area=0.25
    weak=1          the second view, which is only predicted, changes less: crops from half of the area, no grey (arXiv 2204.00613)
    centre=S        crops pulled to the photograph's middle by the share S (arXiv 2202.03278 keeps them near the object)
    average=D       weights averaged with decay D a step, for the embedding only
    rising=SIDE     views of SIDE pixels in the last fifth of the steps

The row: cross-validated accuracy of the probe on the train split, kNN accuracy there (each photograph left out once), accuracy of probes
on a tenth of the labels (mean of five draws, on the rest of the split), time, and processor time an image. With --unseen SHARE, that part
of the train split is not trained on, and linear and kNN accuracy on it are printed as well: cross-validation takes every photograph's
features from a backbone that has learned from it, and so is somewhat too high.
"""

import argparse
import dataclasses
import glob
import json
import math
import os
import time

VARIANTS = {"small": 0, "small_area": 0.25, "weak": 0, "centre": 0.0, "average": 0.0, "rising": 0}
# The smallest share of a photograph in a small view, of DINO's recipe (Caron et al., arXiv 2104.14294).
SMALLEST_AREA = 0.05
RISING_SHARE = 0.2
DRAWS = 5
# Steps before the clock starts (tracing, caches), and steps that it times.
WARM_UP, TIMED = 10, 30


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--unseen", type=float, default=0, metavar="SHARE")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--record", help="file to append the row to, as JSON")
    parser.add_argument("--keep", help="file for the trained weights of the backbone, .npz, in the order of its variables")
    arguments = parser.parse_args()
    variant = dict(VARIANTS)
    for text in arguments.variant:
        name, _, value = text.partition("=")
        variant[name] = type(VARIANTS[name])(value)
    from contracts import libraries

    libraries.set_variables()
    import numpy as np
    from presets import configuration

    config = configuration(arguments.preset, arguments.overrides)
    files = sorted(glob.glob(os.path.join(arguments.examples, "Split-train", "*.gz")))
    network, trained = train(files, config.pretrain, variant, arguments)
    if arguments.keep:
        np.savez(arguments.keep, *(weight.numpy() for weight in network.variables))
    row = measure(network, files, config, arguments.unseen) | trained
    title = " ".join((*arguments.variant, *arguments.overrides)) or "the preset"
    unseen = f", unseen {row['unseen_linear']:.1%} and {row['unseen_knn']:.1%}" if arguments.unseen else ""
    print(
        f"{title}: linear {row['linear']:.1%}, kNN {row['knn']:.1%}{unseen}, a tenth of the labels {row['few']:.1%}; "
        f"{row['epochs']:.1f} epochs, loss {row['loss']:.3f}, effective rank {row['rank']:.0f}, {row['seconds']:.0f} s, "
        f"{row['milliseconds']:.2f} ms an image"
    )
    if arguments.record:
        with open(arguments.record, "a") as file:
            file.write(json.dumps({"title": title} | row) + "\n")


def train(files, settings, variant, arguments):
    """The weights of the trained backbone, in a network of the trainer, and what training took."""
    import numpy as np
    import tensorflow as tf

    from trainer import monitors
    from trainer.backbones import build_backbone
    from trainer.photographs import open_train_split
    from trainer.simsiam import build_simsiam, update
    from trainer.threads import share_cores

    share_cores(settings)
    split = open_train_split(files, round(settings.resolution * settings.canvas_scale), settings.memory_megabytes)
    seen = ~unseen_part(len(split.labels), arguments.unseen)
    split = split._replace(canvases=split.canvases[seen], aspects=split.aspects[seen], labels=split.labels[seen])
    model = build_simsiam(settings)
    averages = [tf.Variable(weight.value, trainable=False) for weight in model.backbone.variables]
    an_epoch = len(split.labels) // settings.batch_size
    timed = arguments.epochs is None
    steps = tf.Variable(an_epoch * (1 if timed else arguments.epochs), dtype=tf.int32)

    def sized(resolution):
        return build_backbone(
            settings.backbone, width=settings.width, stem=settings.stem, resolution=resolution, seed=settings.seed,
            precision=settings.precision, layers_of=model.backbone)  # fmt: skip

    def step_at(resolution):
        views_of = views_function(settings, variant, resolution)
        seeing_large = sized(resolution)
        seeing_small = sized(resolution // 2) if variant["small"] else None

        @tf.function
        def step(canvases, aspects, number):
            large, small = views_of(canvases, aspects, number)
            with tf.GradientTape() as tape:
                loss, outputs = loss_of(model, (seeing_large, large), (seeing_small, small), variant)
            gradients = tape.gradient(loss, (model.encoder_variables, model.predictor_variables))
            update(model, gradients, number, steps=tf.cast(steps, tf.float32), settings=settings)
            if variant["average"]:
                decay = tf.minimum(variant["average"], (1 + tf.cast(number, tf.float32)) / (10 + tf.cast(number, tf.float32)))
                for average, weight in zip(averages, model.backbone.variables):
                    average.assign(decay * average + (1 - decay) * weight.value)
            return loss, outputs

        return step

    step, resolution = step_at(settings.resolution), settings.resolution
    number, losses, outputs = 0, [], []
    start, processor_start = time.monotonic(), time.process_time()
    while number < int(steps) or (timed and number <= WARM_UP + TIMED):
        epoch, first = divmod(number, an_epoch)
        for batch in split.batches(settings.batch_size, seed=settings.seed, epoch=epoch, first=first):
            if variant["rising"] and resolution != variant["rising"] and number > (1 - RISING_SHARE) * int(steps) > WARM_UP + TIMED:
                step, resolution = step_at(variant["rising"]), variant["rising"]
            loss, z = step(*batch, tf.constant(number))
            losses.append(float(loss))
            outputs = [*outputs, z][-1024 // settings.batch_size :]
            number += 1
            if number == WARM_UP:
                start, processor_start = time.monotonic(), time.process_time()
            if number == WARM_UP + TIMED and timed:
                a_step = (time.monotonic() - start) / TIMED
                # The last fifth costs as its pixels.
                dearer = 1 + RISING_SHARE * ((variant["rising"] / settings.resolution) ** 2 - 1) if variant["rising"] else 1
                steps.assign(int(arguments.minutes * 60 / a_step / dearer))
            if number >= int(steps) and number > WARM_UP + TIMED:
                break
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1} of {int(steps) / an_epoch:.0f}, loss {np.mean(losses[-an_epoch:]):.3f}", flush=True)
    milliseconds = (time.process_time() - processor_start) * 1e3 / max(1, (number - WARM_UP) * settings.batch_size)
    if variant["average"]:
        for average, weight in zip(averages, model.backbone.variables):
            weight.assign(average)
    rank = monitors.effective_rank(np.concatenate(outputs)) if outputs else math.nan
    return model.backbone, {
        "epochs": number / an_epoch, "loss": float(np.mean(losses[-an_epoch:] or [math.nan])), "rank": rank,
        "seconds": time.monotonic() - start, "milliseconds": milliseconds,
    }  # fmt: skip


def views_function(settings, variant, resolution):
    """A function from canvases, aspects and the number of the step to the large and the small views."""
    import tensorflow as tf

    from trainer import views

    weak = dataclasses.replace(settings.views, min_area=max(0.5, settings.views.min_area), grey_probability=0.0)
    few = dataclasses.replace(settings.views, min_area=SMALLEST_AREA)
    many = settings.view_count + variant["small"]

    def view(canvases, aspects, seed, side, distribution, most_area=1.0):
        place, colours = tf.unstack(tf.random.split(seed, 2))
        y1, x1, y2, x2 = tf.unstack(views.random_boxes(aspects, place, distribution), axis=1)
        # A smaller or a moved box: scaled about its middle, or the middle pulled to the photograph's.
        middle_y, middle_x, height, width = (y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1
        if most_area < 1:
            area = tf.abs(height * width)
            wanted = SMALLEST_AREA + (most_area - SMALLEST_AREA) * (area - SMALLEST_AREA) / (1 - SMALLEST_AREA)
            factor = tf.sqrt(wanted / area)
            # The middle spreads over the room that the smaller box has.
            height, width = height * factor, width * factor
            random_y, random_x = tf.unstack(tf.random.stateless_uniform([2, tf.shape(aspects)[0]], place + 1))
            middle_y = tf.abs(height) / 2 + (1 - tf.abs(height)) * random_y
            middle_x = tf.abs(width) / 2 + (1 - tf.abs(width)) * random_x
        middle_y, middle_x = (one + variant["centre"] * (0.5 - one) for one in (middle_y, middle_x))
        boxes = tf.stack([middle_y - height / 2, middle_x - width / 2, middle_y + height / 2, middle_x + width / 2], axis=1)
        count = tf.shape(canvases)[0]
        crops = tf.image.crop_and_resize(canvases, boxes, tf.range(count), (side, side)) / 255.0
        return views.apply_colours(crops, views.random_colours(count, colours, distribution))

    def all_views(canvases, aspects, number):
        seeds = [tf.stack([settings.seed, many * number + index]) for index in range(many)]
        large = [
            view(canvases, aspects, seed, resolution, weak if variant["weak"] and index == 1 else settings.views)
            for index, seed in enumerate(seeds[: settings.view_count])]  # fmt: skip
        small = [view(canvases, aspects, seed, resolution // 2, few, variant["small_area"]) for seed in seeds[settings.view_count :]]
        return large, small

    return all_views


def loss_of(model, large, small, variant):
    """The loss, and the first view's projections."""
    import tensorflow as tf

    from trainer.simsiam import negative_cosine_similarity

    def projected(backbone, views):
        return [model.projector(backbone(view, training=True), training=True) for view in views]

    z = projected(*large)
    targets = [tf.math.l2_normalize(tf.stop_gradient(one), axis=1) for one in z]
    predictions = [model.predictor(one, training=True) for one in z]
    parts = []
    for index, prediction in enumerate(predictions):
        if not (variant["weak"] and index == 1):
            others = [target for other, target in enumerate(targets) if other != index]
            parts.append(negative_cosine_similarity(prediction, sum(others)))
    for one in projected(*small):
        parts.append(negative_cosine_similarity(model.predictor(one, training=True), sum(targets)))
    return sum(parts) / len(parts), z[0]


def unseen_part(count, share):
    """Which of `count` photographs are not trained on, the same in every run: `[count]` booleans."""
    import numpy as np

    return np.random.default_rng(0).permutation(count) < share * count


def measure(backbone, files, config, share) -> dict:
    """The row's accuracies; `share` of the photographs were not trained on."""
    import numpy as np

    from trainer.embedding_network import build_embedding_network, copy_weights
    from trainer.features import embedder, knn_accuracy
    from trainer.linear_eval import read_views
    from trainer.normalization import stock
    from trainer.probe import fit_probe, labelled_subset

    training, probing = config.pretrain, config.linear_eval
    network = build_embedding_network(
        training.backbone, width=training.width, stem=training.stem, seed=training.seed, embedding=config.embedding,
        normalization_layer=stock)  # fmt: skip
    copy_weights(backbone, network)
    views, labels, _ = read_views(files, config.embedding.side)
    (features,) = embedder((network,))(views)
    options = {"regularisation": probing.regularisation, "folds": probing.folds, "seed": probing.seed}
    unseen = unseen_part(len(labels), share)
    held_out = (features[unseen], labels[unseen])
    features, labels = features[~unseen], labels[~unseen]
    few = []
    for seed in range(DRAWS):
        chosen = labelled_subset(labels, probing.label_fraction, seed)
        rest = np.setdiff1d(np.arange(len(labels)), chosen)
        few.append(fit_probe(features[chosen], labels[chosen], **options).accuracy(features[rest], labels[rest]))
    probe = fit_probe(features, labels, **options)
    row = {
        "linear": float(probe.cross_validated),
        "knn": float(knn_accuracy(features, labels, probing.neighbours)),
        "few": float(np.mean(few)),
    }
    if share:
        row |= {"unseen_linear": probe.accuracy(*held_out), "unseen_knn": knn_accuracy(features, labels, probing.neighbours, held_out)}
    return row


if __name__ == "__main__":
    main()
