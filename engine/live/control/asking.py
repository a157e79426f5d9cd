"""What a body of the API asks for, as the values of a command to the wire.

Interface: `settings(body)`, `place(body)`, `bundle(body)` and `nothing(body)` take the JSON of a
request and give the `values` of a `Command`. They raise UsageError with one line for whoever sent
it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from keeprt.engine.errors import UsageError

FACES = "all, largest, center or a number from 1 on"
DETECT_EVERY = 10


def settings(body: object) -> dict[str, Any]:
    """Any of strength (0 to 1), faces, bypass and detect_every; at least one."""
    given = _object(body)
    for name in given:
        if name not in _CHECKS:
            raise UsageError(f"no setting {name!r}: give {', '.join(_CHECKS)}")
    if not given:
        raise UsageError(f"nothing to set: give {', '.join(_CHECKS)}")
    for name, value in given.items():
        holds, said = _CHECKS[name]
        if not holds(value):
            raise UsageError(f"{name} is {value!r}: give {said}")
    return {name: _plain(name, value) for name, value in given.items()}


def place(body: object) -> dict[str, Any]:
    """`x` and `y`, shares of the picture's width and height; or neither, to undo the choice."""
    given = _object(body)
    if not given:
        return {}
    if set(given) != {"x", "y"} or not all(_is_share(given[name]) for name in given):
        raise UsageError("give x and y, each from 0 to 1, or neither to undo the choice")
    return {"x": float(given["x"]), "y": float(given["y"])}


def bundle(body: object) -> dict[str, Any]:
    """`bundle`, a folder on the channel's machine; or nothing, to read the same one again."""
    given = _object(body)
    folder = given.get("bundle", "")
    if set(given) - {"bundle"} or not isinstance(folder, str) or "\0" in folder:
        raise UsageError("give bundle, a folder on this machine, or nothing to read the same again")
    return {"bundle": folder} if folder else {}


def nothing(body: object) -> dict[str, Any]:
    """No values: what is told needs none."""
    for name in _object(body):
        raise UsageError(f"no value {name!r} is known here: send an empty body")
    return {}


def _object(body: object) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise UsageError("give a JSON object")
    return body


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_faces(value: object) -> bool:
    return isinstance(value, str | int) and bool(
        re.fullmatch(r"all|largest|center|[1-9]\d{0,2}", str(value))
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= DETECT_EVERY


def _plain(name: str, value: Any) -> Any:
    return str(value) if name == "faces" else value


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "strength": (_is_share, "a number from 0 to 1"),
    "faces": (_is_faces, FACES),
    "bypass": (lambda value: isinstance(value, bool), "true or false"),
    "detect_every": (_is_count, f"a whole number from 1 to {DETECT_EVERY}"),
}
