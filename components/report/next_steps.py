"""What to do after a run that registered nothing: which setting to change, and to what. Pure, and imports nothing heavy.

Everything is taken from sections of run.json, of any release: what a section does not have is not spoken of.
"""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence

from contracts.text import percent, visible
from pipeline_config import QUICK, is_folder

# Steps of the shortest schedule that is known to leave its random-init baseline behind here: `quick`, 2,040 photographs in batches
# of 32, ends 14 to 17 points above it (docs/recipe.md). A warm start has had a whole schedule before, so its own is shorter.
STEPS_AN_EPOCH = 2040 // 32
ENOUGH = STEPS_AN_EPOCH * QUICK.pretrain.epochs
ENOUGH_WARM = STEPS_AN_EPOCH * QUICK.pretrain.warm_start_epochs
# kNN accuracy that rose by more than this between its last two measurements was still rising: its standard error (see
# Pretrain.knn_images).
STILL_RISING = 0.01
MOST_NAMES = 5  # classes that a step names


def next_steps(record: Mapping) -> list[str]:
    """Sentences in which commands are in backticks; empty where there is nothing to do.

    Args:
      record: run.json, or of its keys `status`, `configuration`, `data`, `pretrain` and `gate` what is known.
    """
    status, gate = record["status"], record.get("gate")
    if status == "finished":
        return list(_after_not_blessed(record)) if gate and gate["classes"] and not gate["blessed"] else []
    if status == "refused":
        return list(_after_refused_data(record))
    if status == "failed":
        return ["When that is mended, start the same command again: it continues from what had been finished. The traceback is in "
                "log.txt, beside run.json."]  # fmt: skip
    return ["Start the same command again: it continues from what had been finished."]


def _after_not_blessed(record: Mapping) -> Iterator[str]:
    configuration = record.get("configuration") or {}
    preset, source = configuration.get("preset"), (configuration.get("data") or {}).get("source", "")
    if preset == QUICK.preset and source not in ("", "synthetic"):
        yield (f"The preset `quick` is made for the flowers that it draws: it changes colours so far that it learns to ignore them. Use "
               f"the preset for photographs: `flowers run --preset cpu --data {_quoted(source)}`.")  # fmt: skip
    if pretrain := record.get("pretrain"):
        yield _longer(pretrain) or "Pre-training was not cut short, so longer training promises little."
        yield "More photographs teach the backbone more, and need no labels: `--unlabelled FOLDER`."
    gate = record["gate"]
    if gate["metrics"].get("champion"):
        yield f"Until then version {gate['baseline_version']} stays the champion."


def _longer(pretrain: Mapping) -> str | None:
    """How long to pre-train, if it was too short; else None."""
    warm = bool(pretrain.get("warm_start"))
    setting = "pretrain.warm_start_epochs" if warm else "pretrain.epochs"
    epochs, steps, steps_an_epoch = (pretrain.get(name) for name in ("epochs", "steps", "steps_an_epoch"))
    enough = ENOUGH_WARM if warm else ENOUGH
    if not epochs or not steps:
        return None
    steps_an_epoch = steps_an_epoch or max(1, steps // epochs)
    if steps < enough:
        wanted = math.ceil(enough / steps_an_epoch)
        return (f"Few steps were made: {steps:,}, in {epochs:,} epochs of {steps_an_epoch:,}. The shortest schedule that is known to be "
                f"enough here is that of `quick`, {enough:,} steps. Raise {setting} from {epochs:,} to {wanted:,}: "
                f"`--set {setting}={wanted}`.")  # fmt: skip
    measured = [entry for entry in pretrain.get("history") or () if entry.get("knn_train_top1") is not None]
    if len(measured) > 1 and measured[-1]["knn_train_top1"] - measured[-2]["knn_train_top1"] > STILL_RISING:
        before, last = measured[-2:]
        return (f"It was still learning when it ended: kNN accuracy on train rose from {percent(before['knn_train_top1'])} after epoch "
                f"{before['epoch']:,} to {percent(last['knn_train_top1'])} after epoch {last['epoch']:,}. Double {setting}, to "
                f"{2 * epochs:,}: `--set {setting}={2 * epochs}`.")  # fmt: skip
    return None


def _after_refused_data(record: Mapping) -> Iterator[str]:
    settings, data = (record.get("configuration") or {}).get("data") or {}, record.get("data") or {}
    share, allowed = data.get("bad_fraction"), settings.get("max_bad_fraction")
    if share is not None and allowed is not None and share > allowed:
        # Upwards, so that it admits them.
        accepted = math.ceil(100 * share - 1e-9) / 100
        yield (f"Mend or remove the {data['quarantined']:,} files that cannot be used; data.quarantined_files in run.json lists them with "
               f"their reasons. What is no photograph can be named in data.exclude. To go on without them: "
               f"`--set data.max_bad_fraction={accepted:g}`.")  # fmt: skip
    for split in ("train", "eval"):
        empty = [name for name, count in (data.get(f"{split}_by_class") or {}).items() if not count]
        if empty:
            more = f" and {len(empty) - MOST_NAMES} more" if len(empty) > MOST_NAMES else ""
            yield f"Add photographs of {', '.join(map(visible, empty[:MOST_NAMES]))}{more}: {split} has none. {_left_out(empty, settings)}"
    if source := settings.get("source"):
        yield f"`flowers doctor --data {_quoted(source)}` says before a run whether the data can be used."
    yield "Then start the same command again: it reads the data anew."


def _left_out(names: Sequence[str], settings: Mapping) -> str:
    """How to run without these classes. Only folders have `data.exclude`, and only some names are patterns of themselves alone."""
    if not is_folder(settings.get("source", "synthetic")) or any(set(name) & set(",*?[/") for name in names):
        return "Or take that class out of the source."
    return f"Or run without: `--set data.exclude={_quoted(','.join([*settings.get('exclude', ()), *names]))}`."


def _quoted(text: str) -> str:
    return shlex.quote(visible(text))
