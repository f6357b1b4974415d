"""Puts a run into one HTML page: no network, no file beside it, nothing in it executed but the script of ours.

The Report node writes the page of what the nodes left. What only the runner knows (times, what was cached, how the run ended, the
champion's data) goes into slots of it: `with_run` fills them when the run has ended, without drawing anything again.
"""

import base64
import hashlib
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jinja2
from markupsafe import Markup

from components.run_report import data, learned, recipe, verdict
from components.run_report.artifacts import Artifacts
from components.run_report.drift import drift
from components.run_report.words import FILTERS

TEMPLATES = pathlib.Path(__file__).parent / "templates"
# Parts of the page, each a template, that are filled again when the run has ended.
SLOTS = ("run_summary", "drift", "run_nodes")


def render(found: Artifacts, run: dict | None = None, champion: dict | None = None) -> str:
    """The page.

    Args:
      found: what the nodes left.
      run: run.json of the run; None while it goes on.
      champion: see `with_run`.
    """
    environment = _environment()
    script = (TEMPLATES / "map.js").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        found=found,
        headline=_headline(found, run),
        **_sections(found),
        **_run(run, champion),
    )


def with_run(page: str, run: dict, champion: dict | None = None) -> str:
    """`page`, as the Report node wrote it, with the slots of its run filled.

    Args:
      run: run.json of the run that ended.
      champion: what the gate compared with: `version`, and the section `data` of the run.json that it came from (None where
        that is gone). None where there was no champion.
    """
    environment = _environment()
    for slot in SLOTS:
        filled = environment.get_template(f"{slot}.html").render(**_run(run, champion))
        # Names are escaped, so that no name can look like the border of a slot.
        page = re.sub(f"(<!-- slot {slot} -->).*?(<!-- end {slot} -->)", lambda found: found[1] + filled + found[2], page,
                      count=1, flags=re.DOTALL)  # fmt: skip
    return page


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined)  # fmt: skip
    environment.filters |= FILTERS
    return environment


def _run(run: dict | None, champion: dict | None) -> dict[str, Any]:
    then = champion["data"] if champion else None
    return {
        "run": run,
        "champion": champion,
        "same_data": bool(run and run["data"] and then and run["data"]["fingerprint"] == then["fingerprint"]),
        "moved": drift(run["data"], then) if run and run["data"] and then else None,
    }


def _headline(found: Artifacts, run: dict | None) -> dict:
    if run is None or run["status"] == "finished":
        return verdict.headline(found)
    where = f" in {run['failing_node']}" if run["failing_node"] else ""
    return {"title": f"{run['status'].capitalize()}{where}", "mood": "bad", "reasons": [run["error"]]}


def _sections(found: Artifacts) -> dict[str, Any]:
    """Each section's content, None of what the run did not reach."""

    def of(condition: object, make: Callable[[], Any]) -> Any:
        return make() if condition else None

    judged, learnt, ingest = found.verdict, found.predictions and found.records, found.ingest
    return {
        "comparison": of(judged, lambda: verdict.comparison(judged)),
        "by_class": of(judged, lambda: verdict.by_class(judged)),
        "confusions": of(judged, lambda: verdict.confusions(judged)),
        "curves": of(found.pretrain, lambda: learned.curves(found)),
        "views": of(found.views, lambda: learned.views(found)),
        "mistakes": of(learnt, lambda: learned.mistakes(found)),
        "neighbours": of(learnt, lambda: learned.neighbours(found)),
        "map": of(learnt, lambda: learned.eval_map(found)),
        "counts": of(ingest, lambda: data.counts(ingest)),
        "appearance": of(ingest, lambda: data.appearance(ingest)),
        "mean_colours": of(ingest, lambda: data.mean_colours(ingest)),
        "quarantined": of(ingest, lambda: data.quarantined(ingest)),
        "differences": of(found.configuration, lambda: recipe.differences(found.configuration)),
        "versions": recipe.versions(found),
        "lineage": recipe.lineage(found),
    }
