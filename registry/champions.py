"""The history of champions (which version, since when, by what and why), and the only code that moves the alias `champion`.

The history is kept in tags of the registered model, one tag an entry. An entry is written before the alias moves and confirmed
afterwards. The alias is the truth: an entry that a crash left unconfirmed counts if the alias names its version; otherwise the
next entry replaces it. `reconcile` and `make_champion` are for use inside `writing()`.
"""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.backend import CHAMPION, Backend, Version
from registry.reading import champion_of

# How a version became champion.
PUBLISHED = "published"  # blessed by the gate, by a run
PROMOTED = "promoted"  # by hand
ROLLED_BACK = "rolled back"  # by hand: a return to the champion before
FOUND = "found"  # the alias was moved by something that keeps no record, such as MLflow's page

TAG = "champion."  # and the entry's number, of six digits


@dataclass(frozen=True)
class ChampionChange:
    """One change of champion.

    Attributes:
      number: counts from 1.
      kind: PUBLISHED, PROMOTED, ROLLED_BACK or FOUND.
      version: champion from here on; "" if the alias was found removed.
      previous: champion until here; "" if there was none.
      at: ISO 8601, UTC, to the second.
      by: the run, or the command and its user.
      reason: a sentence or part of one.
      confirmed: whether the alias is known to have moved.
    """

    number: int
    kind: str
    version: str
    previous: str
    at: str
    by: str
    reason: str
    confirmed: bool


def history_of(model_tags: Mapping[str, str], champion: Version | None) -> list[ChampionChange]:
    """The changes that took place, oldest first.

    Args:
      model_tags: `Backend.model_tags()`.
      champion: the version that has the alias now.
    """
    entries = [
        ChampionChange(number=int(key.removeprefix(TAG)), **json.loads(value))
        for key, value in sorted(model_tags.items())
        if key.startswith(TAG)
    ]
    return [entry for entry in entries if entry.confirmed or (champion is not None and entry.version == champion.version)]


def reconcile(registry: Backend) -> tuple[list[ChampionChange], ChampionChange | None]:
    """Makes the history end with the current champion: confirms what a crash left unconfirmed, enters what other tools changed.

    Returns:
      The history, and the change that a crash had left unconfirmed, if there was one.
    """
    champion = champion_of(registry.versions())
    history = history_of(registry.model_tags(), champion)
    interrupted = None
    if history and not history[-1].confirmed:
        interrupted = history[-1] = _write(registry, dataclasses.replace(history[-1], confirmed=True))
    known, found = (history[-1].version if history else ""), (champion.version if champion else "")
    if known != found:
        reason = "the alias was moved without a record: by another tool, or before records were kept"
        history.append(_write(registry, ChampionChange(_next(history), FOUND, found, known, _now(), "unknown", reason, True)))
    return history, interrupted


def make_champion(registry: Backend, history: Sequence[ChampionChange], version: str, kind: str, by: str, reason: str) -> ChampionChange:
    """Moves the alias to `version` and enters why; `history` is what `reconcile` returned."""
    previous = history[-1].version if history else ""
    begun = _write(registry, ChampionChange(_next(history), kind, version, previous, _now(), by, reason, False))
    registry.set_alias(CHAMPION, version)
    return _write(registry, dataclasses.replace(begun, confirmed=True))


def predecessor(history: Sequence[ChampionChange], versions: Sequence[Version]) -> Version | None:
    """The version that a rollback returns to: the previous champion, skipping those that were rolled back from or pruned."""
    stack: list[str] = []
    for entry in history:
        if entry.kind == ROLLED_BACK and entry.version in stack:
            while stack[-1] != entry.version:
                stack.pop()
        else:
            stack.append(entry.version)
    existing = {version.version: version for version in versions}
    return next((existing[one] for one in reversed(stack) if one in existing and CHAMPION not in existing[one].aliases), None)


def ending(history: Sequence[ChampionChange], version: str) -> ChampionChange | None:
    """The change by which `version` last ceased to be champion; None if it never was champion, or is now."""
    if history and history[-1].version == version:
        return None
    return next((entry for entry in reversed(history) if entry.previous == version), None)


def _next(history: Sequence[ChampionChange]) -> int:
    return history[-1].number + 1 if history else 1


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _write(registry: Backend, entry: ChampionChange) -> ChampionChange:
    values = dataclasses.asdict(entry)
    registry.set_model_tag(f"{TAG}{values.pop('number'):06d}", json.dumps(values, ensure_ascii=False, sort_keys=True))
    return entry
