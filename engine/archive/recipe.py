"""The recipe of an archive: what every file is restored with, as a value that can be hashed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from keeprt.engine.bundle import load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.media import VideoInfo
from keeprt.engine.pipeline import Encoding, RestoreOptions
from keeprt.engine.pipeline.loading import (
    card_format,
    card_of,
    load_for,
    plans_of,
    reason_on_host,
    warn_once,
)
from keeprt.engine.restorer import Restorer
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.frame import FrameFormat

# Options of a run, not of a file.
NOT_FOR_A_FILE = (
    *("encoding", "threads", "cpu_threads", "detector", "landmarks", "overwrite", "save_crops"),
    *("card", "plans"),
)
# How an output is made, which does not change what it is.
NO_MATTER = ("threads", "cpu_threads", "overwrite", "device", "card", "plans", "eager")
TRUE, FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class Recipe:
    """bundle: its folder, None for everything but the network. load: keyword arguments of
    `Restorer.load`. options: fields of `RestoreOptions` and of its `Encoding`, by name. threads: of
    the network, the codecs and the picture work, None for one per core of each."""

    bundle: str | None
    load: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None

    def with_options(self, more: Mapping[str, Any]) -> Recipe:
        """The same for a file that has options of its own."""
        return dataclasses.replace(self, options={**self.options, **more})

    def hash(self) -> str:
        """SHA-256 over everything that shapes an output: network, options, version of keeprt."""
        return recipe_hash(self.bundle, self.load, self.restore_options())

    def restore_options(self) -> RestoreOptions:
        """The options as the pipeline takes them. Raises UsageError."""
        options = bounded(restore_options(self.options), self.threads)
        plans = plans_of(self.bundle, self.load)
        return dataclasses.replace(options, card=card_of(self.load), plans=plans)


def recipe_hash(bundle: str | None, load: Mapping[str, Any], options: RestoreOptions) -> str:
    """SHA-256 over everything that shapes an output, files that the options name by content."""
    network = None if bundle is None else bundle_identity(bundle)
    shaping = [
        {name: _by_content(value) for name, value in given.items() if name not in NO_MATTER}
        for given in (load if bundle is not None else {}, dataclasses.asdict(options))
    ]
    text = json.dumps([version("keeprt"), network, *shaping], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def bounded(options: RestoreOptions, threads: int | None) -> RestoreOptions:
    """The same within so many threads; with one, no stage runs beside another."""
    return dataclasses.replace(options, cpu_threads=threads or 0, threads=threads != 1)


def _by_content(value: Any) -> Any:
    if isinstance(value, Path) and value.is_file():
        return _file_sha256(value, value.stat().st_mtime_ns)
    return value


@lru_cache(maxsize=64)
def _file_sha256(file: Path, _modified_ns: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=8)
def bundle_identity(bundle: str) -> str:
    """The hash of a bundle, each read once in a process."""
    return load_bundle(bundle).identity


class _Kept:
    """The restorer that was used last, closed before another is loaded: a card may hold but one."""

    def __init__(self) -> None:
        self._key: object = None
        self._restorer: Restorer | VideoRestorer | None = None

    def get(
        self, bundle: str, format: FrameFormat | None, how: Mapping[str, Any]
    ) -> Restorer | VideoRestorer:
        """One loaded so; raises as `load_for`."""
        key = (bundle, format, json.dumps(dict(how), sort_keys=True))
        if self._restorer is None or key != self._key:
            self.close()
            self._restorer, self._key = load_for(bundle, format, how), key
        return self._restorer

    def close(self) -> None:
        """Gives back what is kept."""
        restorer, self._restorer = self._restorer, None
        if restorer is not None:
            restorer.close()


_kept = _Kept()


def restorer_for(recipe: Recipe, info: VideoInfo) -> Restorer | VideoRestorer | None:
    """The network of a recipe for a video, loaded once in a process, and on a card once for files
    of one size and format that follow each other; None for a recipe without a network."""
    if recipe.bundle is None:
        return None
    options = recipe.restore_options()
    format = card_format(info, options, recipe.load)
    if format is None and options.card is not None:
        warn_once(f"faces are cut out and painted on the host: {reason_on_host(info, options)}")
    return _kept.get(recipe.bundle, format, {**recipe.load, "threads": recipe.threads})


def restore_options(given: Mapping[str, Any]) -> RestoreOptions:
    """Options by name, values as they come from JSON or as text from CSV. Raises UsageError."""
    whole, coding = _fields(RestoreOptions), _fields(Encoding)
    for name in NOT_FOR_A_FILE:
        whole.pop(name, None)
    if unknown := sorted(given.keys() - whole.keys() - coding.keys()):
        known = ", ".join(sorted(whole.keys() | coding.keys()))
        raise UsageError(f"unknown option {unknown[0]!r} of a file; there are {known}")
    mine = {name: _typed(name, given[name], kind) for name, kind in whole.items() if name in given}
    code = {name: _typed(name, given[name], kind) for name, kind in coding.items() if name in given}
    return RestoreOptions(**mine, encoding=Encoding(**code))


def _fields(kind: type) -> dict[str, Any]:
    return dict(typing.get_type_hints(kind))


def _typed(name: str, value: Any, kind: Any) -> Any:
    """A value as its field's type; text is read as CSV has it."""
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None or (value == "" and type(None) in kinds):
        return None
    try:
        if bool in kinds:
            return _truth(value)
        for one in (int, float):
            if one in kinds:
                return one(value)
    except (TypeError, ValueError):
        raise UsageError(f"option {name!r} cannot be {value!r}") from None
    return Path(value).absolute() if Path in kinds else value


def _truth(value: Any) -> bool:
    text = str(value).lower()
    if text not in TRUE + FALSE:
        raise ValueError(value)
    return text in TRUE
