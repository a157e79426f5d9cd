"""Everything about the options that can be refused before any work: ranges, effects, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keeprt.engine.cli.options.declaration import Declared, Number, Range, declared
from keeprt.engine.cli.options.files import check_files
from keeprt.engine.cli.options.states import encoder_of
from keeprt.engine.errors import UsageError

#: Quality in an encoder's own scale, best first.
CRF_RANGES = {"libx264": Number(0, 51), "libx265": Number(0, 51), "libvpx-vp9": Number(0, 63)}


@dataclass(frozen=True)
class Asked:
    """What was typed. values: of all options, by the names of the command's parameters. names: of
    these, by flag. given: the flags that were typed, the others have their defaults."""

    command: str
    values: Mapping[str, Any]
    names: Mapping[str, str]
    given: frozenset[str]

    @classmethod
    def of(cls, context: Any) -> Asked:
        """From click's context of a command."""
        names, given = {}, set()
        for parameter in context.command.params:
            flag = parameter.opts[0]
            if parameter.param_type_name == "argument":
                flag = (parameter.metavar or parameter.name).strip("[]")
            names[flag] = parameter.name
            source = context.get_parameter_source(parameter.name)
            if source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP"):
                given.add(flag)
        return cls(context.info_name, context.params, names, frozenset(given))

    def value(self, one: Declared) -> Any:
        """The value of an option, None where it has none."""
        return self.values[self.names[one.flag]] if one.flag in self.names else None


def check(asked: Asked) -> None:
    """Raises UsageError naming the first option that cannot be honoured."""
    options = declared(asked.command)
    for one in options:
        _check_range(asked, one)
    for one in options:
        if one.flag in asked.given:
            _check_effect(asked, one)
    _check_crf(asked)
    check_files(asked.command, [(one, asked.value(one)) for one in options], asked.values)


def _check_range(asked: Asked, one: Declared) -> None:
    value = asked.value(one)
    if one.allowed is not None and value is not None:
        refuse_outside(one.flag, value, one.allowed)


def refuse_outside(flag: str, value: Any, allowed: Range, where: str = "") -> None:
    """Raises UsageError for a value that an option does not take."""
    if not allowed.allows(value):
        shown = repr(value) if isinstance(value, str) else f"{value:g}"
        raise UsageError(f"{flag} is {shown}{where}: give {allowed}")


def _check_effect(asked: Asked, one: Declared) -> None:
    for state in one.idle:
        if state.concerns(asked.command) and state.holds(asked.values):
            remedy = f", or {state.remedy}" if state.remedy else ""
            raise UsageError(f"{one.flag} has no effect {state.words}: leave it out{remedy}")


def _check_crf(asked: Asked) -> None:
    """Its range is that of the encoder."""
    if asked.command in ("restore", "archive") and "--crf" in asked.given:
        encoder = encoder_of(asked.values)
        if encoder in CRF_RANGES:
            value = asked.values["crf"]
            refuse_outside("--crf", value, CRF_RANGES[encoder], f", for {encoder}")
