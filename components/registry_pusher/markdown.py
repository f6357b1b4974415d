"""Markdown from text that nobody vouches for: names of classes and files may hold anything. Called by `model_card`; pure."""

import re

# What Markdown, or HTML inside it, could take for more than a character; and line ends, which would end a table's row.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!&~$])")
AUTOLINK = re.compile(r"(?<=:)//|(?<=www)\.|@", re.IGNORECASE)


def escaped(text: str) -> str:
    """`text` as running text: no emphasis, link, picture, HTML or heading comes of it."""
    # Of `://`, `www.` and `@` GitHub makes links without being asked; as character references they are text.
    return AUTOLINK.sub(lambda found: "".join(f"&#{ord(c)};" for c in found[0]), SPECIAL.sub(r"\\\1", _line(text)))


def code(text: str) -> str:
    """`text` as it is, in a code span, also inside a table: nothing in it is Markdown."""
    # The fence is longer than any run of backticks inside; a table takes `|` for its own, also in code.
    line = _line(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    # A space at each end goes with the fence; without them a backtick at an end would join it, and a space of the text be lost.
    space = " " if line[:1] in ("`", " ") or line[-1:] in ("`", " ") else ""
    return f"{fence}{space}{line}{space}{fence}" if line.strip() else "(empty)"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _line(text: str) -> str:
    """One line without characters that control a display: line ends, escapes, marks that turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
