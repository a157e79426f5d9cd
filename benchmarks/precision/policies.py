"""The ways to spend float32 that `precision.table` compares: name, half type, islands, TF32."""

from __future__ import annotations

from dataclasses import dataclass

from keeprt.export.precision.islands import ISLANDS, NORMS, Island


@dataclass(frozen=True)
class Policy:
    """A row of the table. precision: as `keeprt export` names the type of all but the islands."""

    name: str
    precision: str
    islands: tuple[Island, ...] = ()
    tf32: bool = False


def policies() -> list[Policy]:
    """From all float32 to none."""
    dear = [island for island in ISLANDS if island not in NORMS]
    return [
        Policy("fp32", "fp32"),
        Policy("mixed", "mixed", ISLANDS),
        Policy("mixed, TF32 inside islands", "mixed", ISLANDS, tf32=True),
        *(Policy(f"fp16-norms and {island.name}", "mixed", (*NORMS, island)) for island in dear),
        Policy("fp16-norms", "fp16-norms", NORMS),
        Policy("fp16", "fp16"),
        Policy("bf16", "bf16"),
    ]
