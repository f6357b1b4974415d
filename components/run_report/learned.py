"""What the backbone learned, in pictures: curves, mistakes, neighbours, a map of the embedding, and the views it learned from.

Called by `page`.
"""

import numpy as np

from components.run_report import charts, embedding_map, pictures
from components.run_report.artifacts import Artifacts
from components.run_report.pictures import Photograph

MISTAKES = 15
# Sides of thumbnails in pixels: of the galleries (shown smaller, for sharp screens) and of the map.
GALLERY_SIDE = 160
MAP_SIDE = 48

CURVES = (
    # Figure of pretrain.json's history, title, what to make of it, how many decimals.
    ("loss", "Loss", "−1 is perfect agreement of the two views", 3),
    ("output_std_ratio", "Output std ratio", "about 1 is healthy, 0 is collapse", 2),
    ("effective_rank", "Effective rank", "dimensions that the output really uses", 1),
    ("knn_train_top1", "kNN accuracy on train", "neighbours’ votes; labels are used for nothing else", 3),
    ("learning_rate", "Learning rate", "of backbone and projector; its highest value stands above", 3),
    ("images_per_second", "Images a second", "source photographs; each gives two views", 0),
)


def curves(found: Artifacts) -> list[dict]:
    """A `chart` for each figure that pre-training watched, with `title`, `note`, `last` value and its `digits`."""
    history = found.pretrain["history"]
    epochs = [entry["epoch"] for entry in history]
    limits = {}
    if found.configuration:
        limits = {"output_std_ratio": found.configuration["pretrain"]["min_output_std_ratio"],
                  "effective_rank": found.configuration["pretrain"]["min_effective_rank"]}  # fmt: skip
    drawn = []
    for key, title, note, digits in CURVES:
        values = [entry[key] for entry in history]
        known = [value for value in values if value is not None]
        if not known:
            continue
        limit = limits.get(key)
        described = f"{title} over {len(epochs)} epochs, from {known[0]:.4g} to {known[-1]:.4g}"
        drawn.append({
            "title": title, "note": note + (f"; below {limit:g} ends the run" if limit is not None else ""),
            "last": max(known) if key == "learning_rate" else known[-1],
            "digits": digits, "chart": charts.curve(epochs, values, described, limit)})  # fmt: skip
    return drawn


def mistakes(found: Artifacts) -> dict:
    """`shown`: the wrong predictions that the probe was surest of; `wrong`: how many there are."""
    arrays = found.predictions
    wrong = np.flatnonzero(arrays["label"] != arrays["predicted"])
    surest = wrong[np.argsort(-arrays["confidence"][wrong], kind="stable")][:MISTAKES]
    photographs = pictures.read_photographs(found.records["eval"], surest)
    classes = found.probe["classes"]
    return {"wrong": len(wrong), "of": len(arrays["label"]), "shown": [
        _card(photographs[position]) | {"predicted": classes[arrays["predicted"][position]],
                                        "confidence": float(arrays["confidence"][position])}
        for position in surest.tolist()]}  # fmt: skip


def neighbours(found: Artifacts) -> list[dict]:
    """A `query` of the eval split and the `nearest` photographs of train, each with its `similarity`."""
    arrays = found.predictions
    asked = pictures.read_photographs(found.records["eval"], arrays["query"])
    bank = pictures.read_photographs(found.records["train"], arrays["neighbour"].ravel())
    return [
        {"query": _card(asked[query]),
         "nearest": [_card(bank[position]) | {"similarity": similarity} for position, similarity in zip(row, similarities)]}
        for query, row, similarities in zip(arrays["query"].tolist(), arrays["neighbour"].tolist(), arrays["similarity"].tolist())
    ]  # fmt: skip


def _card(photograph: Photograph) -> dict:
    return {"image": pictures.thumbnail(photograph, GALLERY_SIDE), "class": photograph.class_name, "path": photograph.path}


def eval_map(found: Artifacts) -> dict | None:
    """The map of a random sample of eval: `points`, and the `sprite` with their thumbnails; None of too few photographs."""
    arrays = found.predictions
    embeddings = arrays["embedding"][: embedding_map.SHOWN]
    if len(embeddings) < embedding_map.LEAST:
        return None
    photographs = pictures.read_photographs(found.records["eval"], range(len(embeddings)))
    image, columns = pictures.sprite([photographs[position] for position in range(len(embeddings))], MAP_SIDE)
    places = embedding_map.positions(embeddings)
    return {
        "sprite": image, "columns": columns, "side": MAP_SIDE, "classes": found.probe["classes"], "of": len(arrays["label"]),
        "points": [
            {"x": round(float(x), 4), "y": round(float(y), 4), "label": int(arrays["label"][position]),
             "predicted": int(arrays["predicted"][position]), "path": photographs[position].path}
            for position, (x, y) in enumerate(places)],
    }  # fmt: skip


def views(found: Artifacts) -> list[dict]:
    """Each shown `photograph` with its two `views`, and width / height as `aspect`."""
    arrays = found.views
    return [
        {"photograph": pictures.from_array(arrays["photographs"][index], float(aspect), GALLERY_SIDE),
         "views": [pictures.from_array(view[index]) for view in arrays["views"]]}
        for index, aspect in enumerate(arrays["aspects"])
    ]  # fmt: skip
