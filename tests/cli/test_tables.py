"""Tables at the widths of terminals: no word is broken where a shorter layout has room for it."""

import io

import pytest
import rich.console

from cli.tables import print_table

COLUMNS = ("version", "standing", "accuracy", "random-init", "judged against", "data", "run", "registered (UTC)")
ROWS = [
    ("1", "former champion", "61.0%", "46.0%", "", "/home/someone/photographs/flowers", "20260131-184502-3fa9", "2026-01-31 18:52:10"),
    ("12", "champion", "63.5%", "46.0%", "1", "synthetic", "20260201-184502-9c1e", "2026-02-01 18:52:10"),
]
CHANGES = [
    ("2026-02-01 18:52:10", "12", "published", "run 20260201-184502-9c1e", "it is [bold]better[/bold] on\x1b[2J the same photographs")
]


def printed(columns, rows, width, terminal=True, **options):
    file = io.StringIO()
    console = rich.console.Console(file=file, width=width, force_terminal=terminal, color_system=None, legacy_windows=False)
    print_table(console, columns, rows, **options)
    return file.getvalue()


@pytest.mark.parametrize("columns, rows", [(COLUMNS, ROWS), (("since (UTC)", "version", "how", "by", "why"), CHANGES)])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_every_word_is_whole_and_every_line_fits(columns, rows, width):
    shown = printed(columns, rows, width, title="flowers-backbone at /home/someone/runs/registry")
    words = set(shown.replace("│", " ").replace("┃", " ").split())
    expected = {word for row in (columns, *rows) for cell in row for word in cell.replace("\x1b", "\\x1b").split()}
    empty = {"judged", "against"} if not any(row[4] for row in rows) else set()
    assert expected - words <= empty
    # A word that is longer than what the name of its column leaves may stand out, so that it can be copied whole.
    longest = max(map(len, expected))
    assert all(len(line.rstrip()) <= max(width, longest + 18) for line in shown.splitlines())


def test_what_fits_side_by_side_is_a_table_and_what_does_not_is_lines():
    assert "┃ version ┃" in printed(COLUMNS, ROWS, 170)
    assert printed(COLUMNS, ROWS, 60).splitlines()[:3] == [
        "", "version           1", "standing          former champion"]  # fmt: skip


def test_columns_that_need_little_keep_their_lines_whole():
    """Here 20 and 40 characters would be needed, 35 are there: the first keeps its 20, the other breaks at a space."""
    shown = printed(("a", "b"), [("x" * 9 + " " + "y" * 10, " ".join(["word"] * 8))], 20 + 15 + 7)
    assert "x" * 9 + " " + "y" * 10 in shown and "word word word" in shown


def test_a_file_has_no_width():
    assert any(len(line) == 152 for line in printed(COLUMNS, ROWS, 80, terminal=False).splitlines())
    assert "20260131-184502-3fa9" in printed(COLUMNS, ROWS, 10, terminal=False)
