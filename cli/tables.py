"""Tables in which no word is broken: where the columns do not fit side by side, each row becomes a few lines."""

import textwrap
from collections.abc import Collection, Sequence

import rich.box
import rich.cells
import rich.console
import rich.table
import rich.text

from contracts.text import visible


def print_table(
    console: rich.console.Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    right: Collection[str] = (),
    box: rich.box.Box | None = rich.box.HEAVY_HEAD,
) -> None:
    """Prints rows below the names of their columns; or, on a terminal that is too narrow for every word, a line for each cell.

    Args:
      rows: text as it is: no markup, and what would steer a terminal is spelt out.
      title: above the table.
      right: columns that are aligned on the right.
      box: how columns are divided; None: by spaces.
    """
    shown = [[visible(cell) for cell in row] for row in rows]
    # A file has no width to fit.
    room = console.width - (3 * len(columns) + 1) if console.is_terminal else None
    widths = _widths([columns, *shown], room)
    if widths is None:
        _print_lines(console, columns, shown, title)
        return
    heading = rich.text.Text(title) if title else None
    table = rich.table.Table(title=heading, title_justify="left", box=box, pad_edge=box is not None)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, width=width, overflow="fold", justify="right" if column in right else "left")
    for row in shown:
        table.add_row(*map(rich.text.Text, row))
    if room is None:
        console = rich.console.Console(file=console.file, width=sum(widths) + 3 * len(columns) + 1)
    console.print(table)


def _widths(rows: Sequence[Sequence[str]], room: int | None) -> list[int] | None:
    """A width for each column that its longest word fits into, in `room` characters; None if there are no such widths."""
    columns = list(zip(*rows, strict=True))
    whole = [max(map(rich.cells.cell_len, column)) for column in columns]
    widths = [max(rich.cells.cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    if room is None:
        return whole
    spare = room - sum(widths)
    if spare < 0:
        return None
    # Columns that need little get it first; the others share what is left.
    order = sorted(range(len(columns)), key=lambda column: whole[column] - widths[column])
    for done, column in enumerate(order):
        more = min(whole[column] - widths[column], spare // (len(order) - done))
        widths[column] += more
        spare -= more
    return widths


def _print_lines(console: rich.console.Console, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    name = max(map(rich.cells.cell_len, columns)) + 2
    lines = textwrap.wrap(title, console.width, break_long_words=False, break_on_hyphens=False)
    for row in rows:
        lines.append("")
        for column, cell in zip(columns, row, strict=True):
            # A word that is longer than the line is left to the terminal, so that it can be copied.
            lines += textwrap.wrap(f"{column:<{name}}{cell}", console.width, subsequent_indent=" " * name, break_long_words=False,
                                   break_on_hyphens=False, drop_whitespace=True) if cell else []  # fmt: skip
    for line in [*lines, ""]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
