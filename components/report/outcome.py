"""What became of a run, in the words that page and terminal share. Pure, and imports nothing heavy.

A verdict is verdict.json, or the section `gate` of run.json: of what is read here, both have the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.text import percent, points

# Accuracies are shares of at most some million photographs: a smaller difference is none but that of floating point.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Headline:
    """`title` in a few words and `mood`, which sets its colour; `detail` is a sentence, or empty.

    Moods: `good`, registered and not worse than the champion before; `worse`, registered, but less accurate; `bad`, not registered or
    failed; `open`, none of these.
    """

    title: str
    mood: str
    detail: str = ""


def headline(verdict: Mapping, version: str | None, alias: str | None, new: bool) -> Headline:
    """Of a run that the Pusher has ended.

    Args:
      version: in the registry; None if the backbone is not there.
      alias: `champion`, or None.
      new: whether this run registered it, rather than an earlier one.
    """
    if not verdict["classes"]:
        return Headline("Not judged, without labels", "open")
    if not version:
        return Headline("Not registered", "bad")
    what = f"{'Registered' if new else 'Registered before'} as version {version}"
    fallen = fall(verdict)
    if not alias:
        return Headline(f"{what}, not champion", "worse" if fallen else "open", fallen)
    if fallen:
        return Headline(f"{what}, but worse than version {verdict['baseline_version']}", "worse", fallen)
    return Headline(f"{what}, the champion", "good")


def fall(verdict: Mapping) -> str:
    """By how much the accuracy is below that of the champion that was judged against, and how sure that is; empty if it is not."""
    metrics, evidence = verdict["metrics"], verdict.get("evidence") or {}
    if not metrics.get("champion"):
        return ""
    reached, before = metrics["candidate"]["accuracy"], metrics["champion"]["accuracy"]
    if reached >= before - TOLERANCE:
        return ""
    words = (f"Accuracy fell from {percent(before)}, of version {verdict['baseline_version']}, to {percent(reached)} on the same "
             f"photographs: by {points(before - reached).lstrip('+')} points")  # fmt: skip
    if weighed := evidence.get("champion"):
        # The evidence is of the candidate's gain.
        interval = f"95 % interval of the change {points(weighed['low'])} to {points(weighed['high'])}"
        words += f" ({interval}; {'sure' if weighed['sure'] else 'not sure'} that it is worse)"
    allowed = (verdict.get("gate") or {}).get("max_regression")
    return f"{words}. gate.max_regression={allowed:g} allows that." if allowed is not None else f"{words}."
