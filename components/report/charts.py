"""Curves and histograms as inline SVG, whose colours are the page's CSS variables.

Drawn by matplotlib with placeholder colours, which are then replaced by CSS variables, so that one drawing serves light and dark.
Drawings contain only our own numbers and words; names of files and classes appear only in the page's text.
"""

import io
import re
from collections.abc import Sequence

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from contracts.text import percent

# Placeholder colours, and the CSS variables that replace them.
ACCENT, LIMIT, MUTED, RULE, CHAMPION = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {ACCENT: "var(--accent)", LIMIT: "var(--floor)", MUTED: "var(--muted)", RULE: "var(--rule)",
             CHAMPION: "var(--champion)"}  # fmt: skip

STYLE = {
    "svg.fonttype": "none",  # text stays text, in the page's own type
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.edgecolor": MUTED, "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED,
    "ytick.major.size": 0, "xtick.major.size": 3,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": RULE, "grid.linewidth": 0.8,
    "lines.linewidth": 1.8, "lines.solid_capstyle": "round",
}  # fmt: skip


def curve(epochs: Sequence[float], values: Sequence[float | None], described: str, limit: float | None = None, *,
          shares: bool = False) -> Markup:  # fmt: skip
    """One figure over the epochs; epochs without a value are skipped.

    Args:
      described: the drawing's description for screen readers.
      limit: a horizontal line.
      shares: whether the values are shares in [0, 1], which are shown in percent.
    """
    found = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]

    def draw(axes):
        if limit is not None:
            axes.axhline(limit, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)))
        # Few values get markers: a line through a single one is invisible.
        axes.plot(*zip(*found), color=ACCENT, marker="o" if len(found) <= 12 else None, markersize=3.5)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        if shares:
            axes.yaxis.set_major_formatter(lambda share, _: percent(share))
        # The same for every figure, also for one that was measured only at the end.
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)

    return _svg(draw, described)


def histogram(train: Sequence[int], held_out: Sequence[int], described: str) -> Markup:
    """Shares of two splits in equal steps of [0, 1]: train filled, eval as a line."""
    edges = [step / len(train) for step in range(len(train) + 1)]

    def draw(axes):
        for counts, options in ((train, {"fill": True, "color": ACCENT, "alpha": 0.35}), (held_out, {"color": ACCENT})):
            axes.stairs([count / max(1, sum(counts)) for count in counts], edges, linewidth=1.6, **options)
        axes.set_xlim(0, 1)
        axes.set_ylim(0)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_formatter(lambda share, _: percent(share, 0))

    return _svg(draw, described)


def over_labels(labels: Sequence[int], networks: Sequence[tuple[str, Sequence[float], Sequence[float]]], described: str) -> Markup:
    """Accuracy over the number of labels, on a logarithmic scale: a line and a band for each network.

    Args:
      labels: increasing.
      networks: colour, mean accuracies in [0, 1], and by how much the band goes below and above them.
    """

    def draw(axes):
        for colour, means, deviations in networks:
            low, high = zip(*((mean - spread, mean + spread) for mean, spread in zip(means, deviations, strict=True)))
            axes.fill_between(labels, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(labels, means, color=colour, marker="o", markersize=3.5)
        axes.set_xscale("log")
        axes.set_xticks(labels, [f"{count:,}" for count in labels])
        axes.minorticks_off()
        axes.set_xlabel("labelled photographs of train")
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(lambda share, _: percent(share, 0))

    return _svg(draw, described, size=(6.4, 2.8))


def _svg(draw, described: str, size: tuple[float, float] = (3.5, 1.9)) -> Markup:
    with mpl.rc_context(STYLE | {"svg.hashsalt": described}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.set_axisbelow(True)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return Markup(_inline(drawn.getvalue(), described))


def _inline(svg: str, described: str) -> str:
    """matplotlib's file as an element of a page: no prologue, no style sheet, no ids without a reference to them."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    referred = set(re.findall(r"[\"(]#([\w.-]+)", body))
    body = re.sub(r' id="([\w.-]+)"', lambda found: found.group() if found[1] in referred else "", body)
    # matplotlib counts its clip paths and markers by the salt; the same drawing twice in one page refers to the same shape.
    body = re.sub(r"font-family: [^;\"]*;?\s*", "", body)
    for stand_in, variable in VARIABLES.items():
        body = body.replace(stand_in, variable)
    size = re.search(r'viewBox="([^"]*)"', body)[1]
    head = f'<svg role="img" aria-label="{escape(described)}" viewBox="{size}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return re.sub(r"<svg\b[^>]*>", lambda _: head, body, count=1)
