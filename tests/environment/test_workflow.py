"""The workflow on GitHub does what a developer does: the packages that the README asks for, then .ci/run."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def steps() -> list[dict]:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    return job["steps"]


def test_the_workflow_installs_what_the_readme_asks_for_and_then_runs_ci():
    commands = [step["run"] for step in steps() if "run" in step]
    asked = re.search(r"Ubuntu 24\.04 \| `apt-get install ([^`]*)`", (ROOT / "README.md").read_text())[1]
    assert set(asked.split()) <= set(commands[0].split())
    assert commands[-1] == "bash .ci/run"


def test_actions_of_others_are_pinned_to_a_commit():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)
