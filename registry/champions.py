"""The line of champions: which version, since when, by what and why. And the one way in which the alias `champion` moves.

Called by `publishing` and `lifecycle` inside `writing()`, and by whoever shows a version. The line is kept in tags of the
registered model, an entry a tag. An entry is written before the alias moves and confirmed afterwards. The alias is the truth: an
entry that a crash left unconfirmed counts if the alias names its version, and is replaced by the next one otherwise.
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
class Succession:
    """One change of champion.

    Attributes:
      number: counts from 1.
      kind: PUBLISHED, PROMOTED, ROLLED_BACK or FOUND.
      version: champion from here on; "" where the alias was found removed.
      previous: champion until here; "" where there was none.
      at: ISO 8601, UTC, to the second.
      by: the run, or the command and its user.
      reason: in words.
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


def line_of(model_tags: Mapping[str, str], champion: Version | None) -> list[Succession]:
    """The changes that took place, oldest first.

    Args:
      model_tags: `Backend.model_tags()`.
      champion: the version that has the alias now.
    """
    entries = [
        Succession(number=int(key.removeprefix(TAG)), **json.loads(value))
        for key, value in sorted(model_tags.items())
        if key.startswith(TAG)
    ]
    return [entry for entry in entries if entry.confirmed or (champion is not None and entry.version == champion.version)]


def settle(registry: Backend) -> tuple[list[Succession], Succession | None]:
    """Makes the line end with the champion of now: confirms what a crash left open, enters what was done by other tools.

    Returns:
      The line, and the change of that last kind which a crash had left unconfirmed, if there was one.
    """
    champion = champion_of(registry.versions())
    line = line_of(registry.model_tags(), champion)
    interrupted = None
    if line and not line[-1].confirmed:
        interrupted = line[-1] = _write(registry, dataclasses.replace(line[-1], confirmed=True))
    known, found = (line[-1].version if line else ""), (champion.version if champion else "")
    if known != found:
        reason = "the alias was moved without a record: by another tool, or before records were kept"
        line.append(_write(registry, Succession(_next(line), FOUND, found, known, _now(), "unknown", reason, True)))
    return line, interrupted


def make_champion(registry: Backend, line: Sequence[Succession], version: str, kind: str, by: str, reason: str) -> Succession:
    """Moves the alias to `version` and enters why; `line` is what `settle` returned."""
    previous = line[-1].version if line else ""
    begun = _write(registry, Succession(_next(line), kind, version, previous, _now(), by, reason, False))
    registry.set_alias(CHAMPION, version)
    return _write(registry, dataclasses.replace(begun, confirmed=True))


def predecessor(line: Sequence[Succession], versions: Sequence[Version]) -> Version | None:
    """The version that a rollback returns to: the champion before the one of now, as far as it was not rolled back itself.

    Versions that were pruned are passed over.
    """
    stack: list[str] = []
    for entry in line:
        if entry.kind == ROLLED_BACK and entry.version in stack:
            while stack[-1] != entry.version:
                stack.pop()
        else:
            stack.append(entry.version)
    existing = {version.version: version for version in versions}
    return next((existing[one] for one in reversed(stack) if one in existing and CHAMPION not in existing[one].aliases), None)


def ending(line: Sequence[Succession], version: str) -> Succession | None:
    """The change by which `version` last ceased to be champion; None if it never was, or is now."""
    if line and line[-1].version == version:
        return None
    return next((entry for entry in reversed(line) if entry.previous == version), None)


def _next(line: Sequence[Succession]) -> int:
    return line[-1].number + 1 if line else 1


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _write(registry: Backend, entry: Succession) -> Succession:
    values = dataclasses.asdict(entry)
    registry.set_model_tag(f"{TAG}{values.pop('number'):06d}", json.dumps(values, ensure_ascii=False, sort_keys=True))
    return entry
