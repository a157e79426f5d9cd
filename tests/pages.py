"""The code blocks of README.md and of the pages in docs/, read from the pages themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_RUN = "# Not run by the tests: "
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the page from the root on, the line of its fence, language and text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def reason_not_to_run(self) -> str | None:
        """What the block's first line says of why the tests leave it, None if they run it."""
        first = self.text.partition("\n")[0]
        return first.removeprefix(NOT_RUN) if first.startswith(NOT_RUN) else None


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


def guest_programs() -> dict[str, str]:
    """The programs of docs/deploying.md that run on a card, by the library that they start with."""
    programs = [b.text for b in blocks_of("docs/deploying.md") if '"rtx"' in b.text]
    return {text.removeprefix("import ").split()[0].split(".")[0]: text for text in programs}
