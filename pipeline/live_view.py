"""The picture of a run that a terminal shows while it goes on: a line a node, and a bar under the one that trains. Called by the
console, some times a second; pure but for the clock.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pipeline.console import Console, Node
    from trainer.progress import Progress

# Mark and style by state. The word stands beside the mark wherever colour alone would tell.
STATES = {
    "waiting": ("·", "dim"),
    "running": ("▸", "bold cyan"),
    "complete": ("✓", "green"),
    "cached": ("=", "blue"),
    "failed": ("✗", "bold red"),
    "interrupted": ("!", "bold yellow"),
}
BAR_WIDTH = 20
TRAINS = "Pretrain"  # the node that tells how far it is


def picture(shown: "Console") -> RenderableType:
    """The run as it stands."""
    return Group(*_parts(shown))


def _parts(shown: "Console") -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True, min_width=max(map(len, shown.nodes), default=1))
    table.add_column(justify="right", no_wrap=True, min_width=8)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name, node in shown.nodes.items():
        mark, style = STATES[node.state]
        # Text, not markup: lines hold names of files and classes.
        table.add_row(Text(mark, style), Text(name, style), Text(_time(node), style), Text(node.line, "dim"))
        if name == TRAINS and node.state == "running" and shown.progress is not None:
            table.add_row("", "", "", _bar(shown.progress))
    if shown.nodes:
        yield table
    if shown.notice:
        yield Text(shown.notice, "bold yellow")


def _time(node: "Node") -> str:
    if node.state == "waiting":
        return ""
    if node.state == "running":
        return duration(time.monotonic() - node.started)
    return node.state if node.state != "complete" else f"{node.seconds:.1f} s"


def _bar(progress: "Progress") -> RenderableType:
    row = Table.grid(padding=(0, 1))
    figures = [f"{progress.step:,} of {progress.steps:,} steps"]
    if progress.images_per_second:
        figures += [f"{progress.images_per_second:.0f} images/s", f"{duration(progress.seconds_left)} left"]
    row.add_row(ProgressBar(progress.steps, progress.step, width=BAR_WIDTH),
                Text(f"{progress.step / progress.steps:.0%} {', '.join(figures)}", no_wrap=True, overflow="ellipsis"))  # fmt: skip
    return row


def duration(seconds: float) -> str:
    """`seconds` as a clock shows them: 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
