"""Each PTX instruction that the kernels use, as a C++ statement; an unknown one is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptx.operands import Names, UntranslatedError, split_operands

SIGNS = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^"}
WIDER = {"u32": "u64", "s32": "s64", "u16": "u32", "s16": "s32"}
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
DIRECTIONS = {"rn": "FE_TONEAREST", "rm": "FE_DOWNWARD", "rp": "FE_UPWARD", "rz": "FE_TOWARDZERO"}
ROUNDINGS = {"rmi": "std::floor", "rpi": "std::ceil", "rzi": "std::trunc", "rni": "std::nearbyint"}
TYPES = {"b8": "u8", "b16": "u16", "b32": "u32", "b64": "u64", "pred": "bool"}


@dataclass(frozen=True)
class Instruction:
    """One instruction: `cvt.rn.f16.f32` is the words cvt, rn, f16, f32."""

    names: Names
    words: list[str]
    operands: list[str]
    line: int

    @property
    def kind(self) -> str:
        """Its type in C++, by its last word."""
        return TYPES.get(self.words[-1], self.words[-1])

    @property
    def carrier(self) -> str:
        """The type that wraps round on overflow."""
        return self.kind if self.kind[0] in "fb" else "u" + self.kind[1:]

    def given(self, place: int, kind: str = "") -> str:
        return self.names.value(self.operands[place], kind or self.kind)

    def sets(self, expression: str) -> str:
        return self.names.put(self.operands[0], expression)

    def unknown(self) -> UntranslatedError:
        return UntranslatedError(f"{'.'.join(self.words)} {self.operands}, line {self.line}")


def translate(i: Instruction) -> str:
    """The statement. Raises UntranslatedError."""
    made = TABLE[i.words[0]](i) if i.words[0] in TABLE else None
    if made is None:
        raise i.unknown()
    return made


def _return(i: Instruction) -> str:
    return "return -1;"


def _branch(i: Instruction) -> str:
    return f"goto L_{i.operands[0].replace('$', '_')};"


def _barrier(i: Instruction) -> str | None:
    if i.words[1] != "sync" or i.operands != ["0"]:
        return None
    i.names.barriers += 1
    return f"return {i.names.barriers}; B_{i.names.barriers}:;"


def _memory(i: Instruction) -> str | None:
    space = next((s for s in ("param", "global", "shared") if s in i.words), None)
    vector = next((int(word[1]) for word in i.words if word in ("v2", "v4")), 1)
    size, stores = int(i.words[-1][1:]) // 8, i.words[0] == "st"
    data, place = i.operands[1 if stores else 0], i.operands[0 if stores else 1]
    items = split_operands(data.strip("{}")) if vector > 1 else [data]
    if space == "param":
        source = f"u8* p = (u8*){i.names.address(place)}; "
    elif space is not None:
        checked = f"{i.names.address(place)}, {size * vector}, {int(stores)}, {i.line}, last"
        source = f"static int last; u8* p = {space}_at({checked}); "
    else:
        return None
    moves = (_moved(i, item, n * size, stores) for n, item in enumerate(items))
    return source + "".join(moves)


def _moved(i: Instruction, item: str, offset: int, stores: bool) -> str:
    if stores:
        return f"save<{i.kind}>(p + {offset}, {i.names.value(item, i.kind)}); "
    loaded = f"load<{i.kind}>(p + {offset})"
    return i.names.put(item, f"(s64){loaded}" if i.kind[0] == "s" else loaded)


def _move(i: Instruction) -> str:
    if i.words[-1] == "b64" and i.operands[1].startswith("{"):
        low, high = (i.names.value(h, "u32") for h in split_operands(i.operands[1].strip("{}")))
        return i.sets(f"((u64){high} << 32 | {low})")
    return i.sets(i.given(1))


def _binary(i: Instruction) -> str | None:
    if i.kind == "f32" and len(i.words) > 2 and i.words[1] != "rn":
        return None
    operation = f"{i.given(1, i.carrier)} {SIGNS[i.words[0]]} {i.given(2, i.carrier)}"
    return i.sets(f"({i.carrier})({operation})")


def _multiply(i: Instruction) -> str | None:
    if "wide" in i.words:
        return i.sets(f"({_wide(i, 1)} * {_wide(i, 2)})")
    if "hi" in i.words:
        product = f"((__int128){i.given(1)} * (__int128){i.given(2)})"
        return i.sets(f"({i.kind})({product} >> {i.kind[1:]})")
    return _binary(i) if "lo" in i.words or i.kind[0] == "f" else None


def _wide(i: Instruction, place: int) -> str:
    return f"({WIDER[i.kind]}){i.given(place)}"


def _multiply_add(i: Instruction) -> str | None:
    if "wide" in i.words:
        return i.sets(f"({_wide(i, 1)} * {_wide(i, 2)} + {i.given(3, WIDER[i.kind])})")
    if "lo" in i.words:
        a, b, c = (i.given(place, i.carrier) for place in (1, 2, 3))
        return i.sets(f"({i.carrier})({a} * {b} + {c})")
    return None


def _fused(i: Instruction) -> str | None:
    if i.kind != "f32":
        return None
    return i.sets(f"fused({i.given(1)}, {i.given(2)}, {i.given(3)}, {DIRECTIONS[i.words[1]]})")


def _divide(i: Instruction) -> str | None:
    if i.kind == "f32" and i.words[1] == "rn":
        return i.sets(f"(f32)({i.given(1)} / {i.given(2)})")
    if i.kind[0] in "us":
        return i.sets(f"divide<{i.kind}>({i.given(1)}, {i.given(2)}, {i.line})")
    return None


def _reciprocal(i: Instruction) -> str | None:
    return i.sets(f"(1.0f / {i.given(1)})") if i.words == ["rcp", "rn", "f32"] else None


def _remainder(i: Instruction) -> str:
    return i.sets(f"modulo<{i.kind}>({i.given(1)}, {i.given(2)}, {i.line})")


def _extreme(i: Instruction) -> str | None:
    return i.sets(f"p{i.words[0]}({i.given(1)}, {i.given(2)})") if len(i.words) == 2 else None


def _negate(i: Instruction) -> str:
    real = i.kind[0] == "f"
    return i.sets(f"({i.kind})(-{i.given(1)})" if real else f"({i.kind})(0 - (u64){i.given(1)})")


def _absolute(i: Instruction) -> str | None:
    return i.sets(f"std::fabs({i.given(1)})") if i.kind == "f32" else None


def _invert(i: Instruction) -> str:
    return i.sets(f"!{i.given(1)}" if i.kind == "bool" else f"({i.kind})~{i.given(1)}")


def _shift(i: Instruction) -> str:
    return i.sets(f"{i.words[0]}<{i.kind}>({i.given(1)}, {i.given(2, 'u32')})")


def _select(i: Instruction) -> str:
    return i.sets(f"({i.given(3, 'bool')} ? {i.given(1)} : {i.given(2)})")


def _compare(i: Instruction) -> str | None:
    if len(i.words) != 3:
        return None
    test, x, y = i.words[1], i.given(1), i.given(2)
    unordered = f"{x} != {x} || {y} != {y}"
    if test == "ne" and i.kind[0] == "f":
        return i.sets(f"({x} < {y} || {x} > {y})")
    if test in COMPARISONS:
        return i.sets(f"({x} {COMPARISONS[test]} {y})")
    if test.endswith("u") and test[:2] in COMPARISONS:
        return i.sets(f"({unordered} || {x} {COMPARISONS[test[:2]]} {y})")
    numbers = {"nan": f"({unordered})", "num": f"!({unordered})"}
    return i.sets(numbers[test]) if test in numbers else None


def _power_of_two(i: Instruction) -> str | None:
    known = i.words[1:] == ["approx", "ftz", "f32"]
    return i.sets(f"ftz(std::exp2(ftz({i.given(1)})))") if known else None


def _convert(i: Instruction) -> str | None:
    *flags, to, of = i.words[1:]
    if (to, of) == ("f32", "f16"):
        return i.sets(f"from_half({i.given(1, 'u16')})")
    if (to, of) == ("f16", "f32") and flags in (["rn"], ["rz"]):
        return i.sets(f"to_half({i.given(1, 'f32')}, {int(flags == ['rz'])})")
    x = i.given(1, of)
    if to == of == "f32":
        known = {**ROUNDINGS, "sat": "sat"}
        for flag in flags:
            x = f"{known[flag]}({x})"
        return i.sets(x)
    if of == "f32" and len(flags) == 1 and flags[0] in ROUNDINGS:
        return i.sets(f"to_int<{to}>((f64){ROUNDINGS[flags[0]]}({x}))")
    if to == "f32" and of[0] in "us" and flags == ["rn"]:
        return i.sets(f"(f32){x}")
    if of[0] in "us" and to[0] in "us" and not flags:
        return i.sets(f"({to}){x}" if to[0] == "u" else f"(s64)({to}){x}")
    return None


TABLE: dict[str, Callable[[Instruction], str | None]] = {
    "ret": _return,
    "exit": _return,
    "bra": _branch,
    "bar": _barrier,
    "barrier": _barrier,
    "ld": _memory,
    "st": _memory,
    "mov": _move,
    "cvta": _move,
    **dict.fromkeys(("add", "sub", "and", "or", "xor"), _binary),
    "mul": _multiply,
    "mad": _multiply_add,
    "fma": _fused,
    "div": _divide,
    "rcp": _reciprocal,
    "rem": _remainder,
    "min": _extreme,
    "max": _extreme,
    "neg": _negate,
    "abs": _absolute,
    "not": _invert,
    "shl": _shift,
    "shr": _shift,
    "selp": _select,
    "setp": _compare,
    "ex2": _power_of_two,
    "cvt": _convert,
}
