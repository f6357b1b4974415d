"""The state of a run's nodes, and its picture on a terminal: a line a node, a bar while one of them trains, and a notice.

Bar, clocks and figures are rich's own columns. The view keeps the state also if nothing is shown live.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich.console
import rich.live
import rich.progress
from rich.table import Column
from rich.text import Text

if TYPE_CHECKING:
    from trainer.loop import Progress

# Mark and style by state. Colour is never the only sign: a word is shown beside the mark.
STATES = {
    "waiting": ("·", "dim"),
    "running": ("▸", "bold cyan"),
    "complete": ("✓", "green"),
    "cached": ("=", "blue"),
    "failed": ("✗", "bold red"),
    "interrupted": ("!", "bold yellow"),
}
TRAINS = "Pretrain"  # the node that reports its progress
REFRESHES_A_SECOND = 4
# Seconds over which the speed is averaged for the time left: long enough to include the pauses between epochs.
SPEED_SECONDS = 600


class LiveView:
    """The picture of a run; print it, or `start` it.

    Attributes:
      notice: a line below the nodes; a signal handler may set it.
      is_live: whether it is on the screen and follows each change.
    """

    def __init__(self, terminal: rich.console.Console):
        self.notice = ""
        self._nodes: dict[str, rich.progress.Task] = {}
        # Text, not markup: a node's lines contain names of files and classes.
        says = rich.progress.TextColumn("{task.fields[line]}", "dim", markup=False, table_column=Column(no_wrap=True, ratio=1))
        self._lines = rich.progress.Progress(
            _Name(Column(no_wrap=True)), _Time(Column(no_wrap=True, justify="right")), says, console=terminal, expand=True)  # fmt: skip
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(None, table_column=Column(ratio=1)), rich.progress.TaskProgressColumn(),
            rich.progress.MofNCompleteColumn(" of ", Column(no_wrap=True)), "steps", "{task.fields[speed]}",
            rich.progress.TimeRemainingColumn(table_column=Column(no_wrap=True)), "left",
            console=terminal, expand=True, speed_estimate_period=SPEED_SECONDS)  # fmt: skip
        self._training = self._bar.add_task(TRAINS, total=None, speed="")
        self._live = rich.live.Live(
            self, console=terminal, refresh_per_second=REFRESHES_A_SECOND, redirect_stdout=False, redirect_stderr=False)  # fmt: skip

    @property
    def is_live(self) -> bool:
        return self._live.is_started

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        """Leaves the last picture on the screen."""
        if self.is_live:
            self._live.stop()

    def expect(self, nodes: Sequence[str]) -> None:
        """Adds nodes in the state `waiting`."""
        for node in nodes:
            self._lines.add_task(node, start=False, total=None, state="waiting", line="")
            self._nodes[node] = self._lines.tasks[-1]

    def start_node(self, node: str) -> None:
        if node not in self._nodes:
            self.expect([node])
        self._lines.start_task(self._nodes[node].id)
        self.set(node, state="running")

    def end_node(self, node: str) -> None:
        """Stops the node's clock; its state is `complete` unless `set` has changed it."""
        self._lines.stop_task(self._nodes[node].id)
        if self.state(node) == "running":
            self.set(node, state="complete")

    def set(self, node: str, **fields: str) -> None:
        """Changes `state`, one of STATES, or `line`, what it said last."""
        self._lines.update(self._nodes[node].id, **fields)

    def state(self, node: str | None) -> str | None:
        """None if there is no such node."""
        return self._nodes[node].fields["state"] if node in self._nodes else None

    def seconds(self, node: str) -> float:
        """How long a node has run; 0 before it starts."""
        return self._nodes[node].elapsed or 0.0

    def advance(self, progress: "Progress") -> None:
        """Moves the bar."""
        speed = f"{progress.images_per_second:.0f} images/s" if progress.images_per_second else ""
        self._bar.update(self._training, total=progress.steps, completed=progress.step, speed=speed)

    def __rich__(self) -> rich.console.RenderableType:
        parts: list[rich.console.RenderableType] = [self._lines]
        if self.state(TRAINS) == "running" and self._bar.tasks[0].total is not None:
            parts.append(self._bar)
        if self.notice:
            parts.append(Text(self.notice, "bold yellow"))
        return rich.console.Group(*parts)


class _Name(rich.progress.ProgressColumn):
    """A node's mark and name, in the style of its state."""

    def render(self, task: rich.progress.Task) -> Text:
        mark, style = STATES[task.fields["state"]]
        return Text(f"{mark} {task.description}", style)


class _Time(rich.progress.TimeElapsedColumn):
    """How long a node has run, or its state if it ended without completion."""

    def render(self, task: rich.progress.Task) -> Text:
        state = task.fields["state"]
        if state in ("running", "complete"):
            return super().render(task)
        return Text("" if state == "waiting" else state, STATES[state][1])
