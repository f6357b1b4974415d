"""What the documents contain, for test_documents.py: commands of `sh` blocks, `python` blocks, spans of code and links."""

import dataclasses
import pathlib
import re
import shlex

from markdown_it import MarkdownIt

PROJECT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")])


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code: its document, line and text."""

    document: str
    line: int
    text: str

    def __str__(self):
        return f"{self.document}:{self.line}"


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a shell block, with comments gone and continued lines joined; `words` as the shell would split it."""

    document: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    def __str__(self):
        return f"{self.document}:{self.line}: {self.text}"


def blocks(language: str) -> list[Block]:
    """All fenced blocks of `language`, in the order of the documents."""
    return [Block(_name(document), token.map[0] + 2, token.content)
            for document in DOCUMENTS for token in _tokens(document)
            if token.type == "fence" and token.info.strip() == language]  # fmt: skip


def commands() -> list[Command]:
    """All commands of all shell blocks."""
    found = []
    for block in blocks("sh"):
        pending, first = "", block.line
        for number, line in enumerate(block.text.splitlines(), block.line):
            first = first if pending else number
            pending += line.strip()
            if pending.endswith("\\"):
                pending = pending[:-1]
            elif pending:
                text = shlex.join(shlex.split(pending, comments=True)) if "|" not in pending and "$(" not in pending else pending
                found += [Command(block.document, first, text)] if text else []
                pending = ""
    return found


def spans() -> list[tuple[str, str]]:
    """Document and text of all spans of code."""
    return [(_name(document), child.content) for document in DOCUMENTS for token in _tokens(document)
            for child in token.children or () if child.type == "code_inline"]  # fmt: skip


def links() -> list[tuple[pathlib.Path, str]]:
    """Document and target of all links and pictures that lead to a file of the project."""
    targets = [(document, child.attrGet("href") or child.attrGet("src")) for document in DOCUMENTS for token in _tokens(document)
               for child in token.children or () if child.type in ("link_open", "image")]  # fmt: skip
    return [(document, target) for document, target in targets if not re.match(r"[a-z]+:", target)]


def anchors(document: pathlib.Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    tokens = _tokens(document)
    return {re.sub(r"[^\w\- ]", "", following.content.lower()).replace(" ", "-")
            for token, following in zip(tokens, tokens[1:]) if token.type == "heading_open"}  # fmt: skip


def _name(document: pathlib.Path) -> str:
    return document.relative_to(PROJECT).as_posix()


def _tokens(document: pathlib.Path) -> list:
    return MarkdownIt().enable("table").parse(document.read_text(encoding="utf-8"))
