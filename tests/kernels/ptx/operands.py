"""Operands of PTX as C++ expressions: registers, literals, special registers, parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SPECIAL = {"tid": "tid", "ctaid": "ctaid", "ntid": "W->block", "nctaid": "W->grid"}
ADDRESSES = ("b64", "u64", "s64")


class UntranslatedError(NotImplementedError):
    """PTX that the executor does not know: to be added, never to be passed over."""


def cpp_name(register: str) -> str:
    return register.replace("%", "v_").replace("$", "_").replace(".", "_")


def split_operands(text: str) -> list[str]:
    """The operands between the commas that lie in no brackets."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [*parts, current.strip()] if current.strip() else parts


@dataclass
class Names:
    """What the names of one kernel stand for."""

    #: Place of each parameter, and whether it is a structure passed by value.
    parameters: dict[str, tuple[int, bool]]
    registers: dict[str, str] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)
    shared_bytes: int = 0
    barriers: int = 0

    def value(self, text: str, kind: str) -> str:
        """The operand as an expression of the C++ type `kind`."""
        text = text.strip()
        if text.startswith("!"):
            return f"!({self.value(text[1:], kind)})"
        if special := re.match(r"%(tid|ctaid|ntid|nctaid)\.([xyz])$", text):
            return f"as<{kind}>((u32){SPECIAL[special[1]]}[{'xyz'.index(special[2])}])"
        if text in self.registers:
            name = f"r.{cpp_name(text)}"
            return name if kind == "bool" else f"as<{kind}>({name})"
        if number := re.match(r"0[fF]([0-9a-fA-F]{8})$", text):
            return f"as<{kind}>((u32)0x{number[1]}u)"
        if re.match(r"-?(0x[0-9a-fA-F]+|\d+)U?$", text):
            return f"(({kind})({text.rstrip('U')}LL))"
        return self._place(text, kind)

    def _place(self, text: str, kind: str) -> str:
        if text in self.shared:
            return f"(({kind}){self.shared[text]})"
        if text in self.parameters and kind == "u64":
            place, by_value = self.parameters[text]
            return f"(W->args[{place}])" if by_value else f"((u64)(W->args + {place}))"
        raise UntranslatedError(f"operand {text}")

    def address(self, text: str) -> str:
        """`[base+offset]`: of a register, shared memory or a parameter."""
        found = re.match(r"\[([%\w$]+)\s*(?:([+-])\s*(-?\d+))?\]$", text.strip())
        if found is None:
            raise UntranslatedError(f"address {text}")
        base, sign, offset = found.groups()
        wide = self.registers.get(base) in ADDRESSES or base not in self.registers
        shift = f" {sign} ({offset}LL)" if offset else ""
        return f"((u64){self.value(base, 'u64' if wide else 'u32')}{shift})"

    def put(self, register: str, expression: str) -> str:
        """The statement that sets a register."""
        if register == "_":
            return f"{expression};"
        if self.registers[register] == "pred":
            return f"r.{cpp_name(register)} = {expression};"
        return f"put(r.{cpp_name(register)}, {expression});"
