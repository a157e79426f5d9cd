"""The authors' releases and their two ways of naming tensors, as `releases.json` lists them."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Release:
    """One published file: its name, which holds the start of its SHA-256, and where it is."""

    file: str
    sources: tuple[str, ...]

    @property
    def description(self) -> str:
        """For people and manifests, such as "official KEEP-b76feb75"."""
        return f"official {self.file.rpartition('.')[0]}"


def releases() -> dict[str, Release]:
    """The releases by the name that `--weights` takes, the newest first."""
    table = _table()["releases"].items()
    return {name: Release(row["file"], tuple(row["sources"])) for name, row in table}


def release_named(source: str) -> Release | None:
    """By the name that `--weights` takes, or by the words that a bundle's manifest has for it."""
    rows = releases().items()
    return next((r for name, r in rows if source in (name, r.description)), None)


def canonical_name(name: str) -> str:
    """A tensor's name in the first release, from which the network here has its names."""
    for newer, first in _table()["names"].items():
        if name.startswith(newer):
            return str(first + name.removeprefix(newer))
    return name


@cache
def _table() -> dict[str, Any]:
    text = resources.files("keeprt.export.weights").joinpath("releases.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
