"""Makes one HTML page of a run: no network, no further files, and no script but our own.

The Report node writes the page from the outputs of the nodes. What only the runner knows (times, what was cached, how the run
ended, the champion's data) goes into slots: `with_run` fills them when the run has ended, without drawing anything again.
"""

import base64
import hashlib
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jinja2
from markupsafe import Markup

from components.report import pictures, sections
from components.report.artifacts import Artifacts
from components.report.next_steps import next_steps
from components.report.sections import drift
from contracts import baseline, text

# Most characters of a name that are shown: a path may have 4,096.
LONGEST = 80
# Most characters of a word that is never broken: a column of that width leaves room for two others on a phone of 360 pixels.
LONGEST_WORD = 18
# After which a name may be broken before it is too wide.
SEPARATORS = re.compile(r"(?<=[/_.=,>-])")


def name(given: object, longest: int = LONGEST) -> str:
    """A file's or class's name for the page: characters that are invisible or change the direction of writing are spelt out, and
    the middle of a long name is left out. The template escapes it for HTML.
    """
    named = str(given)
    if len(named) > longest:
        named = f"{named[: longest // 2]}…{named[-longest // 2 + 1 :]}"
    return text.visible(named)


def called(given: object, longest: int = LONGEST) -> Markup:
    """`name` as an element that keeps its own direction of writing. It breaks at its separators, and inside a word only if that
    is longer than LONGEST_WORD.
    """
    pieces = SEPARATORS.split(name(given, longest))
    endless = any(len(word) > LONGEST_WORD for piece in pieces for word in piece.split())
    return Markup('<bdi class="called{}">{}</bdi>').format(" endless" if endless else "", Markup("<wbr>").join(pieces))


def sentence(given: object) -> str:
    """A sentence of ours that may contain such names: in full, with the same characters spelt out."""
    return text.visible(str(given))


def commands(given: str) -> Markup:
    """Such a sentence, in which what stands in backticks is a command."""
    parts = sentence(given).split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts))


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1], which no line breaks before its sign; a dash if it was not measured."""
    return "–" if share is None else text.percent(share, digits).replace(" ", "\u00a0")


def count(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}".replace(",", "\u202f")


def decimal(number: float | None, digits: int = 3) -> str:
    return "–" if number is None else f"{number:.{digits}f}".replace("-", "−")


def duration(seconds: float | None) -> str:
    """Seconds in readable units, such as 1 min 15 s."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


FILTERS = {function.__name__: function for function in (name, called, sentence, commands, percent, text.points, count, decimal, duration)}


TEMPLATES = pathlib.Path(__file__).parent / "templates"
# Parts of the page, each a template, that are filled when the run has ended.
SLOTS = ("run_summary", "drift", "all_settings", "run_nodes")


def render(found: Artifacts, run: dict | None = None, champion: dict | None = None) -> str:
    """The page.

    Args:
      found: the outputs of the nodes.
      run: run.json of the run; None before it has ended.
      champion: see `with_run`.
    """
    environment = _environment()
    script = (TEMPLATES / "map.js").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        found=found,
        baseline=baseline.of(found.linear_eval or {}),
        baseline_title=baseline.title(found.linear_eval or {}),
        baseline_explained=baseline.EXPLAINED[baseline.of(found.linear_eval or {})],
        headline=_headline(found, run),
        **_sections(found),
        **_run(run, champion, found.configuration),
    )


def with_run(page: str, run: dict, champion: dict | None = None) -> str:
    """`page`, as the Report node wrote it, with its slots filled.

    Args:
      run: run.json of the run that ended.
      champion: what the gate compared with: `version`, and the section `data` of the run.json that it came from (None if that
        is missing). None if there was no champion.
    """
    environment = _environment()
    for slot in SLOTS:
        filled = environment.get_template(f"{slot}.html").render(**_run(run, champion))
        # Names are escaped, so no name can look like the border of a slot.
        page = re.sub(f"(<!-- slot {slot} -->).*?(<!-- end {slot} -->)", lambda found: found[1] + filled + found[2], page,
                      count=1, flags=re.DOTALL)  # fmt: skip
    return page


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined)  # fmt: skip
    environment.filters |= FILTERS
    return environment


def _run(run: dict | None, champion: dict | None, configuration: dict | None = None) -> dict[str, Any]:
    then = champion["data"] if champion else None
    # That of the nodes is without the settings that only say how to run.
    configuration = (run or {}).get("configuration") or configuration
    return {
        "all_settings": sections.settings(configuration) if configuration else None,
        "run": run,
        "champion": champion,
        "same_data": bool(run and run["data"] and then and run["data"]["fingerprint"] == then["fingerprint"]),
        "moved": drift(run["data"], then) if run and run["data"] and then else None,
    }


def _headline(found: Artifacts, run: dict | None) -> dict:
    if run is None or run["status"] == "finished":
        return sections.headline(found)
    where = f" in {run['failing_node']}" if run["failing_node"] else ""
    return {"title": f"{run['status'].capitalize()}{where}", "mood": "bad", "reasons": [run["error"]], "steps": next_steps(run)}


def _sections(found: Artifacts) -> dict[str, Any]:
    """Each section's content; None if the run did not reach it."""

    def of(condition: object, make: Callable[[], Any]) -> Any:
        return make() if condition else None

    judged = found.verdict if found.verdict and found.verdict["classes"] else None
    learnt, ingest = found.predictions and found.records, found.ingest
    points = (found.linear_eval or {}).get("label_curve")
    return {
        "comparison": of(judged, lambda: sections.comparison(judged)),
        "evidence": of(judged, lambda: sections.evidence(judged)),
        "over_labels": of(points, lambda: sections.over_labels(points)),
        "calibration": (found.linear_eval or {}).get("calibration"),
        "by_class": of(judged, lambda: sections.by_class(judged)),
        "confusions": of(judged, lambda: sections.confusions(judged)),
        "curves": of(found.pretrain, lambda: pictures.curves(found)),
        "views": of(found.views, lambda: pictures.views(found)),
        "mistakes": of(learnt, lambda: pictures.mistakes(found)),
        "neighbours": of(learnt, lambda: pictures.neighbours(found)),
        "map": of(learnt, lambda: pictures.eval_map(found)),
        "counts": of(ingest, lambda: sections.counts(ingest)),
        "unlabelled": of(ingest, lambda: sections.unlabelled(ingest)),
        "appearance": of(ingest, lambda: sections.appearance(ingest)),
        "mean_colours": of(ingest, lambda: sections.mean_colours(ingest)),
        "quarantined": of(ingest, lambda: sections.quarantined(ingest)),
        "in_two_classes": of(ingest, lambda: sections.in_two_classes(ingest)),
        "networks": of(found.pretrain, lambda: sections.networks(found.pretrain)),
        "differences": of(found.configuration, lambda: sections.differences(found.configuration, found.preset)),
        "versions": sections.versions(found),
        "lineage": sections.lineage(found),
    }
