"""The rivals by name: what each is, where it runs, and how it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keeprt.benchmarks.bench.rivals.contenders import Case, Contender
from keeprt.engine.errors import UsageError


@dataclass(frozen=True)
class Rival:
    """`way` is the implementation, `half` whether it computes in float16 by autocast."""

    way: str
    half: bool = False
    needs_weights: bool = True
    needs_card: bool = False


RIVALS = {
    "eager": Rival("eager"),
    "compile": Rival("compile"),
    "onnxruntime": Rival("onnxruntime", needs_weights=False),
    "eager-half": Rival("eager", half=True, needs_card=True),
    "compile-half": Rival("compile", half=True, needs_card=True),
    "graphs": Rival("graphs", needs_card=True),
    "graphs-half": Rival("graphs", half=True, needs_card=True),
}


def check_rivals(names: Sequence[str], on_card: bool) -> None:
    """Raises UsageError for a name that is none, and for a rival of a card where none is used."""
    for name in names:
        if name not in RIVALS:
            raise unknown_rival(name)
        if RIVALS[name].needs_card and not on_card:
            raise UsageError(
                f"the rival {name!r} runs on a card only: choose a backend or a provider of one, "
                "or leave it out of --rivals"
            )


def unknown_rival(name: str) -> UsageError:
    """The error for a rival that there is not."""
    return UsageError(f"unknown rival {name!r}; choose among {', '.join(RIVALS)}")


def make_rival(name: str, bundle: Path, weights: str, case: Case, card: int | None) -> Contender:
    """The rival of that name, its library imported, on the card of that number or the processor.
    Raises UsageError."""
    if name not in RIVALS:
        raise unknown_rival(name)
    rival = RIVALS[name]
    if rival.way == "onnxruntime":
        from keeprt.benchmarks.bench.rivals.plain_onnx import PlainOnnx

        return PlainOnnx(bundle, case, card)
    if rival.way == "graphs":
        from keeprt.benchmarks.bench.rivals.torch_frames import TorchFrames

        return TorchFrames(bundle, case, device=card or 0, weights=weights, half=rival.half)
    from keeprt.benchmarks.bench.rivals.reference import ReferenceContender

    return ReferenceContender(
        bundle,
        weights,
        case,
        compiled=rival.way == "compile",
        device="cpu" if card is None else f"cuda:{card}",
        half=rival.half,
    )
