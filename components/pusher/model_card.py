"""The model card of a version: what the backbone is, what it learned from, its figures and its limits.

Pure: the same records give the same card, and names of classes and files cannot break it. It names no version and no champion, as
the registry changes both; the backbone's content hash identifies it.
"""

import json
import math
import re
from dataclasses import dataclass

from contracts import baseline, model_files
from contracts.text import percent, visible

# Characters with a meaning in Markdown, or in HTML inside it.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!&~$])")
AUTOLINK = re.compile(r"(?<=:)//|(?<=www)\.|@", re.IGNORECASE)


def escaped(text: str) -> str:
    """`text` as running text: it cannot become emphasis, a link, a picture, HTML or a heading."""
    # GitHub turns `://`, `www.` and `@` into links; as character references they are text.
    return AUTOLINK.sub(lambda found: "".join(f"&#{ord(c)};" for c in found[0]), SPECIAL.sub(r"\\\1", visible(text)))


def code(text: str) -> str:
    """`text` unchanged in a code span, also inside a table: nothing in it is Markdown."""
    # The fence is longer than any run of backticks inside; in a table `|` ends a cell even in code.
    line = visible(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    # One space at each end belongs to the fence; without it a backtick at an end would join the fence, and a space would be lost.
    space = " " if line[:1] in ("`", " ") or line[-1:] in ("`", " ") else ""
    return f"{fence}{space}{line}{space}{fence}" if line.strip() else "(empty)"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# Most classes that are listed one by one, so that the card stays readable.
MOST_CLASSES = 100


@dataclass(frozen=True)
class Facts:
    """What a card is made from.

    Attributes:
      name: the registered model.
      backbone_hash, probe_hash: content hashes.
      run_id, code, recipe: of the run.
      stated_licence: pipeline_config.Data.licence; "" if it was not stated.
      backbone: contracts.model_files.BACKBONE_RECORD.
      ingest, pretrain, linear_eval, verdict: the reports of that name.
    """

    name: str
    backbone_hash: str
    probe_hash: str
    run_id: str
    code: str
    recipe: str
    stated_licence: str
    backbone: dict
    ingest: dict
    pretrain: dict
    linear_eval: dict
    verdict: dict


def model_card(facts: Facts) -> str:
    """The card, in GitHub's Markdown."""
    sections = {
        f"{escaped(facts.name)}: model card": _what(facts),
        "The vector": _vector(facts),
        "Data": _data(facts),
        "Licence": _licence(facts),
        "Recipe": _recipe(facts),
        "Figures": _figures(facts),
        "Limits": _limits(facts),
        "How to load it": _loading(facts),
        "How to serve it": _serving(facts),
    }
    parts = [f"{'#' if position == 0 else '##'} {title}\n\n{text}" for position, (title, text) in enumerate(sections.items())]
    return "\n\n".join(parts) + "\n"


def _what(facts: Facts) -> str:
    backbone, splits = facts.backbone, facts.ingest["splits"]
    train, unlabelled = splits["train"]["images"], splits["unlabelled"]["images"]
    labels = f"{train:,} of which had labels; none was" if unlabelled else "whose labels were not"
    identity = [
        (
            "backbone",
            code(backbone["backbone"])
            + (f", width {backbone['width']}, stem {code(backbone['stem'])}" if backbone["width"] else ", a network of others"),
        ),
        ("content hash", code(facts.backbone_hash)),
        ("probe's content hash", code(facts.probe_hash)),
        ("data fingerprint", code(facts.ingest["fingerprint"])),
        ("run", code(facts.run_id)),
        ("code", code(facts.code)),
        ("recipe", code(facts.recipe)),
    ]
    return (
        f"An image backbone: it turns a photograph into a vector of {backbone['embedding_size']} numbers, such that similar "
        f"pictures have similar vectors. It was pre-trained by SimSiam (arXiv 2011.10566) on {train + unlabelled:,} photographs, "
        f"{labels} used for it. The linear probe beside it measures how good the vectors are; `flowers predict` says by it what "
        "photographs show.\n\n"
        "`flowers registry list` shows which version of the registry this is, and whether it is champion.\n\n"
        + table(("what", "identity"), identity)
    )


def _vector(facts: Facts) -> str:
    backbone, embedding = facts.backbone, facts.backbone["embedding"]
    side = backbone["photograph_side"]
    pooling = " and ".join(embedding["pooling"])
    bounds = "is 0 or more, without an upper\n  bound" if backbone["width"] else "is what the network of others returns"
    size = backbone["embedding_size"]
    return f"""- Output `embedding`: `[batch, {size}]` float32. Each number {bounds}; the vector is not normalised.
- A number says how strongly one channel of the network answers, pooled over the photograph ({pooling} over the places; stages
  counted from the last: {embedding["stages"]}). One number alone means nothing; compare vectors by cosine similarity.
- Input of the signature `{model_files.SIGNATURE_ENCODED}` (also `serving_default`): `{model_files.IMAGE_BYTES}`, `[batch]`
  string, JPEG, PNG, WebP, GIF or BMP files. They are turned upright, laid on white and converted to sRGB as at ingest; other
  files, and some rare kinds of these, are refused by name.
- Input of the signature `pixels`: `[batch, {side}, {side}, 3]` float32 in [0, 1], RGB, whole photographs scaled to squares.
- The vector of a photograph does not depend on the others in its batch."""


def _data(facts: Facts) -> str:
    ingest = facts.ingest
    train, held_out = (ingest["splits"][split] for split in ("train", "eval"))
    rows = [(code(name), f"{train['by_class'][name]:,}", f"{held_out['by_class'][name]:,}") for name in ingest["classes"][:MOST_CLASSES]]
    rows.append(("all", f"{train['images']:,}", f"{held_out['images']:,}"))
    more = len(ingest["classes"]) - MOST_CLASSES
    return "\n\n".join([
        f"Source: {code(ingest['source'])} ({escaped(ingest['kind'])}), {ingest['images']:,} usable photographs of "
        f"{len(ingest['classes']):,} classes, {ingest['splits']['unlabelled']['images']:,} of them without a label; "
        f"{ingest['quarantined']['total']:,} files could not be used; "
        f"{ingest['near_duplicates']['left_out_of_train']:,} were left out of training because eval has the same picture. "
        f"Division: {escaped(ingest['split_rule'])}. Labels were used only for the probe and the figures.",
        table(("class", "train", "eval"), rows),
        *([f"{more:,} further classes are in probe/probe.json."] if more > 0 else []),
    ])  # fmt: skip


def _licence(facts: Facts) -> str:
    known, stated = facts.ingest["licence"], facts.stated_licence
    lines = []
    if stated:
        lines.append(f"Of the data, as stated by the person who ran the pipeline (`data.licence`): {escaped(stated)}")
    if known["text"]:
        lines.append(f"Of the data, as its source states it: {escaped(known['text'])}")
    if known["citation"]:
        lines.append(f"To be cited as: {escaped(known['citation'])}")
    if not stated and not known["text"]:
        lines.append(
            "The licence of the data was not stated. Before passing this model on, find out what the photographs' "
            "licence allows; `data.licence` states it for the next version."
        )
    return "\n\n".join([*lines, "The code that trained the model is licensed under Apache-2.0."])


def _recipe(facts: Facts) -> str:
    report, settings = facts.pretrain, facts.backbone["pretrain"]
    warm = settings["warm_start"]
    start = f"random weights, seed {settings['seed']}"
    if warm["backbone"]:
        start = f"the registered backbone {code(warm['content_hash'])}"
    if warm.get("network"):
        start = f"the network of others {code(warm['network'])} ({start if warm['version'] else code(warm['content_hash'])})"
    speed = f", {report['images_per_second']:.0f} photographs a second" if report["images_per_second"] else ""
    return (
        f"{report['epochs']:,} epochs ({report['steps']:,} steps of {settings['batch_size']:,} photographs) at "
        f"{settings['resolution']} pixels, from {start}; {report['seconds']:,.0f} s{speed}. At the end: loss "
        f"{report['final_loss']:.3f} (-1 is perfect agreement of the views), output standard deviation "
        f"{report['output_std_ratio']:.2f} of the healthy one, effective rank {report['effective_rank']:.1f}.\n\n"
        "Every setting of the pre-training:\n\n"
        f"```json\n{json.dumps(settings, indent=1, sort_keys=True)}\n```"
    )


def _figures(facts: Facts) -> str:
    verdict, linear = facts.verdict, facts.linear_eval
    calibration = linear["calibration"]
    measured, random_init = verdict["metrics"]["candidate"], verdict["metrics"]["untrained"]
    rows = [
        ("linear top-1", _percent(measured["accuracy"]), _percent(random_init["accuracy"])),
        ("macro F1", _percent(measured["macro_f1"]), _percent(random_init["macro_f1"])),
        ("cross-entropy, nats (less is better)", _number(measured["cross_entropy"]), _number(random_init["cross_entropy"])),
        ("kNN top-1", _percent(linear["knn_top1"]), _percent(linear["random_init_knn_top1"])),
        *(
            (f"linear top-1 with {point['labels']:,} labels", *(_spread(point[name]) for name in ("candidate", "random_init")))
            for point in linear["label_curve"] if point["fraction"] < 1
        ),
        *(
            (text, *(_percent(calibration[name][figure]) for name in ("candidate", "random_init")))
            for text, figure in (
                ("expected calibration error (less is better)", "calibration_error"),
                ("predictions that are sure", "coverage"),
                (f"right of those that are sure, {_percent(calibration['stated_precision'])} intended", "precision"),
            )
        ),
    ]  # fmt: skip
    per_class = [
        (code(name), _percent(verdict["per_class"][name]), f"{facts.ingest['splits']['eval']['by_class'].get(name, 0):,}")
        for name in verdict["classes"][:MOST_CLASSES]
    ]
    version = verdict["baseline_version"]
    champion = verdict["metrics"]["champion"]
    against = f"version {escaped(version)}" if version else "no champion, as there was none"
    if champion:
        against += f" (linear top-1 {_percent(champion['accuracy'])} on the same photographs)"
    return "\n\n".join([
        f"On {verdict['eval_examples']:,} held-out photographs, which neither backbone nor probe was trained on or tuned on.",
        table(("figure", "pre-trained", f"{baseline.title(verdict)} ({baseline.EXPLAINED[baseline.of(verdict)]})"), rows),
        "Figures with fewer labels are the mean and standard deviation over random draws of them.",
        table(("class", "accuracy", "photographs"), per_class),
        f"The gate compared with {against}, and blessed the backbone:",
        "\n".join(f"- {escaped(sentence)}" for sentence in verdict["reasons"]),
        f"Eval split: {code(verdict['eval_split'])}.",
    ])  # fmt: skip


def _limits(facts: Facts) -> str:
    accuracy, count = facts.verdict["metrics"]["candidate"]["accuracy"], facts.verdict["eval_examples"]
    error = math.sqrt(accuracy * (1 - accuracy) / count)
    synthetic = (
        "\n- The flowers are drawn by a program. The figures show that the pipeline works; they say nothing about photographs."
        if facts.ingest["kind"] == "synthetic"
        else ""
    )
    only = "It was trained only on these photographs; what"
    if not facts.backbone["width"]:
        only = f"What {escaped(facts.backbone['backbone'])} was trained on by others is not known here. In these photographs, what"
    return (
        f"- The figures hold for photographs like those of the eval split, which comes from the same source. With {count:,} "
        f"photographs the standard error of linear top-1 is {_percent(error)}.\n"
        f"- Pre-trained at {facts.backbone['resolution']} pixels: details that are lost at that size have no effect.\n"
        f"- {only} is rare or missing in them is represented badly. It was not "
        "evaluated for bias, and must not be used to identify people." + synthetic
    )


# The oldest releases that load a version and compute the same, as benchmarks/oldest_tensorflow.py measures (docs/export.md).
OLDEST_TENSORFLOW, OLDEST_KERAS = "2.10", "3.9"


def _loading(facts: Facts) -> str:
    side, features = facts.backbone["photograph_side"], facts.backbone["embedding_size"]
    signature = f'signatures["{model_files.SIGNATURE_ENCODED}"]'
    return f"""In this file's folder, with TensorFlow alone:

```python
import keras, tensorflow as tf

model = tf.saved_model.load("backbone")
files = tf.constant([open("rose.jpg", "rb").read()])
vectors = model.{signature}({model_files.IMAGE_BYTES}=files)["embedding"]  # [1, {features}]

network = keras.models.load_model("backbone/backbone.keras")  # stock layers: [batch, {side}, {side}, 3] in [0, 1] -> vectors
```

The SavedModel loads in TensorFlow {OLDEST_TENSORFLOW} and newer, the `.keras` file in Keras {OLDEST_KERAS} and newer; so it was
measured.

`manifest.json` has the SHA-256 of every file, and `model.sig` is a signature of them; `flowers registry verify` checks both.
`sbom.cdx.json` lists the packages of the environment that made the version."""


def _serving(facts: Facts) -> str:
    name = facts.name
    return f"""The folder `backbone` is a SavedModel, which TensorFlow Serving can serve:

```sh
docker run -p 8501:8501 -v "$PWD/backbone:/models/{name}/1" -e MODEL_NAME={name} tensorflow/serving
curl -d "{{\\"instances\\": [{{\\"b64\\": \\"$(base64 -w0 rose.jpg)\\"}}]}}" http://localhost:8501/v1/models/{name}:predict
```

The response is `{{"predictions": [[…]]}}`, one vector for each photograph."""


def _percent(share: float | None) -> str:
    return "not measured" if share is None else percent(share)


def _spread(spread: dict) -> str:
    return _percent(spread["mean"]) + (f" ± {_percent(spread['deviation'])}" if spread["deviation"] is not None else "")


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
