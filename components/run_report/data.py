"""The photographs: how many of what, how they look, what was set aside and why. Called by `page`; pure."""

from components.run_report import charts

# Rows of each list; all of them are in run.json.
CLASSES = 60
FILES = 50
DESCRIBED = {
    "brightness": "mean luma; 0 is black, 1 is white",
    "contrast": "spread of the luma; 0 is one plain grey",
    "saturation": "0 is grey, 1 is pure colour",
}


def counts(ingest: dict) -> dict:
    """`rows`: `name` and photographs in `train` and `eval`, with their share of the largest class; `of` how many classes."""
    train, held_out = (ingest["splits"][split]["by_class"] for split in ("train", "eval"))
    largest = max((train[name] + held_out[name] for name in train), default=0) or 1
    rows = [
        {"name": name, "train": train[name], "eval": held_out[name],
         "train_width": train[name] / largest, "eval_width": held_out[name] / largest}
        for name in ingest["classes"]]  # fmt: skip
    return {"rows": rows[:CLASSES], "of": len(rows)}


def appearance(ingest: dict) -> list[dict]:
    """A `chart` for each measure of appearance, with `title` and `note`."""
    train, held_out = (ingest["appearance"][split] for split in ("train", "eval"))
    return [
        {"title": measure.capitalize(), "note": note, "chart": charts.histogram(
            train[measure], held_out[measure], f"{measure.capitalize()} of the photographs in train and eval, as histograms")}
        for measure, note in DESCRIBED.items()]  # fmt: skip


def mean_colours(ingest: dict) -> dict[str, str]:
    """The mean colour of each split as CSS has it."""
    found = {split: ingest["appearance"][split]["mean_colour"] for split in ("train", "eval")}
    return {split: f"#{bytes(round(255 * channel) for channel in colour).hex()}" for split, colour in found.items() if colour}


def quarantined(ingest: dict) -> dict:
    """As in the ingest report, with no more `files` than are shown, and `of` how many."""
    found = ingest["quarantined"]
    return found | {"files": found["files"][:FILES], "of": len(found["files"])}
