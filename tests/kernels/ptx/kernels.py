"""The kernels of PTX texts as C++: a function each, that runs a thread from barrier to barrier."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from ptx.instructions import Instruction, translate
from ptx.operands import Names, UntranslatedError, cpp_name, split_operands

CLASSES = {"pred": "bool", "f32": "f32", "f64": "f64"}
CLASSES |= {f"{kind}{bits}": f"u{bits}" for kind in "bus" for bits in (16, 32, 64)}
STATEMENT = re.compile(r"[^;{}\n]*(?:\{[^{};]*\}[^;{}\n]*)*(?:;|\n|\{|\}|$)")


@dataclass(frozen=True)
class Translated:
    """One kernel: its C++, which needs `arithmetic.hpp`, and what its launch has to know."""

    name: str
    code: str
    shared_bytes: int
    barriers: int


def translated(texts: Sequence[str], only: Container[str] | None = None) -> list[Translated]:
    """The entries of PTX texts, or those named. Raises UntranslatedError."""
    kernels: list[Translated] = []
    for text in (re.sub(r"//[^\n]*", "", text) for text in texts):
        for entry in re.finditer(r"\.entry\s+(\w+)\s*\((.*?)\)([^{]*)\{", text, re.S):
            if only is None or entry[1] in only:
                line = text.count("\n", 0, entry.end()) + 1
                body = text[entry.end() : _closing(text, entry.end())]
                kernels.append(_kernel(entry[1], entry[2], body, line, len(kernels)))
    return kernels


def _closing(text: str, start: int) -> int:
    depth, at = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return at - 1


def _kernel(name: str, parameters: str, body: str, line: int, number: int) -> Translated:
    # A structure passed by value is `.b8 name[bytes]`: its argument is the address of its bytes.
    given = [parameter.split()[-1] for parameter in parameters.split(",")]
    names = Names({p.split("[")[0]: (n, "[" in p) for n, p in enumerate(given)})
    lines = [line for text, at in _statements(body, line) for line in _translated(text, at, names)]
    members = " ".join(f"{CLASSES[kind]} {cpp_name(r)};" for r, kind in names.registers.items())
    resume = " ".join(f"case {n}: goto B_{n};" for n in range(1, names.barriers + 1))
    code = (
        f"struct R{number} {{ {members} }};\n"
        f"static int run{number}(void* memory, int state) {{\n"
        f"R{number}& r = *(R{number}*)memory;\nswitch (state) {{ default: break; {resume} }}\n"
        + "\n".join(lines)
        + "\nreturn -1;\n}\n"
    )
    return Translated(name, code, names.shared_bytes, names.barriers)


def _statements(body: str, line: int) -> Iterator[tuple[str, int]]:
    for piece in STATEMENT.finditer(body):
        yield piece[0].strip(" \t\n;"), line + body.count("\n", 0, piece.start())


def _translated(text: str, at: int, names: Names) -> Iterator[str]:
    while label := re.match(r"^(\$?[\w$]+):\s*", text):
        yield f"L_{label[1].replace('$', '_')}:;"
        text = text[label.end() :]
    if text in ("", "{", "}"):
        return
    if text.startswith("."):
        _declare(text, names)
    else:
        yield _instruction(text, at, names)


def _declare(text: str, names: Names) -> None:
    if found := re.match(r"\.reg\s+\.(\w+)\s+(.*)", text):
        for item in found[2].split(","):
            ranged = re.match(r"\s*(%[\w$]+)<(\d+)>", item)
            each = [f"{ranged[1]}{n}" for n in range(int(ranged[2]))] if ranged else [item.strip()]
            names.registers.update(dict.fromkeys(each, found[1]))
    elif found := re.match(r"\.shared\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]", text):
        align, size = int(found[1]), int(found[3])
        names.shared[found[2]] = -(-names.shared_bytes // align) * align
        names.shared_bytes = names.shared[found[2]] + size
    elif not text.startswith((".pragma", ".loc")):
        raise UntranslatedError(text)


def _instruction(text: str, at: int, names: Names) -> str:
    guard = ""
    if predicate := re.match(r"@(!?)(%[\w$]+)\s+", text):
        guard = f"if ({predicate[1]}r.{cpp_name(predicate[2])}) "
        text = text[predicate.end() :]
    operation, *rest = text.split(None, 1)
    operands = split_operands(rest[0]) if rest else []
    made = translate(Instruction(names, operation.split("."), operands, at))
    return f"{guard}{{ {made} }}"
