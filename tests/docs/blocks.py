"""The fenced blocks of a page, as the tests of the documentation see them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sybil.document import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT: Final = Path(__file__).parents[2]

_LEXER: Final = RawFencedCodeBlockLexer(re.compile(r"(?P<info>[^\n]*)\n"))
#: A comment right before a block, which readers of the page do not see.
_NOT_RUN: Final = re.compile(r"<!-- not run: (.+) -->\s*\Z")
_TITLE: Final = re.compile(r'\btitle="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Args:
        title: the name of the file that the block shows; empty of a block that is no file.
        not_run: why it cannot be run here; empty of one that is run.
        line: where its content begins, from 1.
    """

    page: str
    line: int
    language: str
    title: str
    not_run: str
    source: str

    @property
    def place(self) -> str:
        """Where the block stands, for messages."""
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Return the pages that people read, by their paths in the repository."""
    docs = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", *docs]


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    document = Document((ROOT / page).read_text(), page)
    return [_block(document, region) for region in _LEXER(document)]


def _block(document: Document, region: object) -> Block:
    info = region.lexemes["info"].strip()
    before = _NOT_RUN.search(document.text, 0, region.start)
    title = _TITLE.search(info)
    return Block(
        page=document.path,
        line=document.text.count("\n", 0, region.start) + 2,
        language=info.split()[0] if info else "",
        title=title[1] if title else "",
        not_run=before[1] if before else "",
        source=str(region.lexemes["source"]),
    )
