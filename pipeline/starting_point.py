"""Where a scheduled pre-training starts: from a registered version, or from random weights.

Decided from the records of the schedule's runs alone, so that a run that was killed and the one that continues it start alike.
"""

from collections.abc import Sequence

from registry.backend import CHAMPION


def finished_runs(records: Sequence[dict], schedule: str) -> list[dict]:
    """Those runs (run.json, oldest first) that the schedule started and that finished."""
    return [one for one in records if one.get("schedule") == schedule and one["status"] == "finished" and one.get("data")]


def version_of(record: dict) -> str:
    """The registered version that a run's pre-training started from; "" for random weights."""
    return record["configuration"]["pretrain"]["warm_start"]["version"]


def starting_version(
    finished: Sequence[dict], wanted: str, from_scratch_every: int, fingerprint: str, registered: Sequence[str]
) -> tuple[str, str]:
    """The version that the next run starts from, "" for random weights, and why, in words.

    Args:
      finished: what `finished_runs` returned.
      wanted: number or alias of a version, as in --warm-start.
      from_scratch_every: each run of this number starts from random weights; 0: none but the first.
      fingerprint: of the photographs now.
      registered: numbers and aliases that exist.
    """
    if finished and finished[-1]["data"]["fingerprint"] == fingerprint:
        # Else a week without a new photograph would train on from its own result, and never be served from the cache.
        former = version_of(finished[-1])
        if not former or former in registered:
            return former, "as its last run did, since the photographs are the same"
    if wanted == CHAMPION and wanted not in registered:
        return "", "as there is no champion yet"
    warm = next((count for count, one in enumerate(reversed(finished)) if not version_of(one)), len(finished))
    if from_scratch_every and warm + 1 >= from_scratch_every:
        return "", f"as --from-scratch-every {from_scratch_every} says"
    return wanted, "as --warm-start says"
