"""docs/threats.md names files and tests that exist."""

import re

import pytest
from tiny import PROJECT

TEXT = (PROJECT / "docs/threats.md").read_text()
ROWS = [row.strip("|").split("|") for row in TEXT.splitlines() if row.startswith("| ") and "`tests/" in row]


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip()[:40] for row in ROWS])
def test_each_defence_has_its_place_and_its_test(row):
    for path in re.findall(r"`([\w/]+(?:\.py|/))`", row[2]):
        assert (PROJECT / path).exists(), path
    named = re.findall(r"`(tests/[\w/]+\.py)`: ((?:`test_\w+`(?:, )?)+)", row[3])
    assert named
    for path, tests in named:
        defined = set(re.findall(r"^def (test_\w+)\(", (PROJECT / path).read_text(), re.MULTILINE))
        assert set(re.findall(r"`(test_\w+)`", tests)) <= defined, path


def test_every_defence_is_a_row():
    assert len(ROWS) == TEXT.split("## What is not covered")[0].count("\n| ") - 1  # its heading
