"""Runs every property through every container and encoder, and writes the page."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import av

from keeprt.engine.errors import KeeprtError
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.media.containers import CONTAINERS
from keeprt.engine.media.writing.encoders import ENCODERS
from tests.fidelity.properties import BESIDE, PICTURE, Property

SILENT = "lost in silence"
#: The container in which an encoder is tried: one that can say what it says.
HOMES = {
    "libvpx-vp9": ".webm",
    "mpeg2video": ".ts",
    "prores_ks": ".mov",
    "dnxhd": ".mov",
    "v210": ".mov",
    "mjpeg": ".mov",
    "mpeg4": ".mp4",
}
#: They need a card: none was there.
UNSEEN = tuple(name for name in ENCODERS if name.endswith("_nvenc"))
_HEAD = """# What is kept

Written by `python -m tests.fidelity` from real runs{version}: a small clip that
has the property is read and written again, and what the new file says is compared with what the old
one said.

- **kept**: the same.
- **converted**: another form of the same, as shown or as the numbered line says.
- **dropped**: not in the output; the numbered line says so before the work and at the end.
- **refused**: the numbered line ends the job before the work; no file is written.

Numbered lines are what keeprt prints, .OUT the suffix of the column. See [media.md](media.md) for
the options that decide otherwise.
"""


@dataclass
class Lines:
    """What was said, each line once; numbered from 1."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """The number of a line."""
        return self.numbers.setdefault(text, len(self.numbers) + 1)


@dataclass(frozen=True)
class Verdict:
    """kept, converted, dropped, refused or lost in silence; with a bracket at its end, the line is
    what keeprt said."""

    word: str
    line: str = ""

    def cell(self, lines: Lines) -> str:
        """As the table shows it."""
        if self.word.endswith("["):
            return f"{self.word}{lines.number(self.line)}]"
        return f"{self.word}: {self.line}" if self.line else self.word


def judged(one: Property, source: Path, out: Path, codec: str = "auto") -> Verdict:
    """Restores nothing, writes all: what became of the property."""
    before = one.fact(source)
    try:
        with (
            open_source(source) as video,
            open_sink(out, video, codec=codec, preset="ultrafast") as sink,
        ):
            for frame in video:
                sink.write(frame)
    except KeeprtError as error:
        return Verdict("refused [", _plain(str(error), source, out))
    after = one.fact(out)
    if after == before:
        return Verdict("kept")
    losses = [loss for loss in sink.losses if one.word in loss]
    if losses:
        word = "converted" if "converted" in losses[0] or one.word == "times" else "dropped"
        return Verdict(f"{word} [", _plain(losses[0], source, out))
    return Verdict(
        "converted" if one.may_become else SILENT, f"{_short(before)} to {_short(after)}"
    )


def column(properties: Iterable[Property], suffix: str, codec: str) -> Iterator[Verdict]:
    """The verdicts of one container and encoder."""
    for one in properties:
        with TemporaryDirectory() as folder:
            source = one.make(Path(folder) / "in")
            yield judged(one, source, Path(folder) / f"out{suffix}", codec)


def columns_of(table: str) -> dict[str, tuple[str, str]]:
    """Title to suffix and encoder."""
    if table != "by encoder":
        return {suffix: (suffix, "auto") for suffix in CONTAINERS}
    homes = {codec: HOMES.get(codec, ".mkv") for codec in ENCODERS if codec not in UNSEEN}
    return {f"{codec} in {suffix}": (suffix, codec) for codec, suffix in homes.items()}


def page() -> str:
    """The whole page."""
    logging.disable(logging.WARNING)
    parts = [
        _HEAD.format(version=f" with PyAV {av.__version__}"),
        _table("Beside the picture", BESIDE, columns_of("beside")),
        _table(
            "The picture, by container (its usual encoder)", PICTURE, columns_of("by container")
        ),
        _table("The picture, by encoder", PICTURE, columns_of("by encoder")),
        f"Not seen, for they need a card: {', '.join(UNSEEN)}.\n",
    ]
    return "\n".join(parts)


def _table(name: str, rows: tuple[Property, ...], columns: dict[str, tuple[str, str]]) -> str:
    lines = Lines()
    verdicts = {title: list(column(rows, *where)) for title, where in columns.items()}
    head = f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}\n"
    body = "".join(
        f"| {row.name} | {' | '.join(verdicts[title][at].cell(lines) for title in columns)} |\n"
        for at, row in enumerate(rows)
    )
    notes = "".join(f"{number}. `{text}`\n" for text, number in lines.numbers.items())
    return f"## {name}\n\n{head}{body}\n{notes}"


def _plain(text: str, source: Path, out: Path) -> str:
    """A line for all containers alike."""
    names = text.replace(str(source), f"in{source.suffix}").replace(str(out), f"out{out.suffix}")
    return names.replace(out.suffix, ".OUT")


def _short(fact: object) -> str:
    text = ", ".join(map(str, fact)) if isinstance(fact, tuple) else str(fact)
    return re.sub(r"Fraction\((\d+), (\d+)\)", r"\1/\2", text) or "none"
