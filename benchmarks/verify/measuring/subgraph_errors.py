"""Each subgraph of a bundle on the reference's own activations."""

from __future__ import annotations

from dataclasses import dataclass

from keeprt.benchmarks.precision.runs import run_subgraph
from keeprt.benchmarks.verify.measuring.errors import (
    CodeError,
    TensorError,
    code_error,
    tensor_error,
)
from keeprt.benchmarks.verify.measuring.reference_frame import ReferenceFrame
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cpu.device import Backend

CODES = "codes"


@dataclass(frozen=True)
class OutputError:
    """One output of one subgraph at one frame; of codebook indices `codes`, else `error`.

    `same_codes` is false where some code of the run flipped: what the generator makes of other
    codes tells nothing about its arithmetic.
    """

    frame: int
    subgraph: str
    output: str
    error: TensorError | None
    codes: CodeError | None
    same_codes: bool = True

    @property
    def size(self) -> float:
        """Relative L2, of codes the number of flips: by which the worst sample is found."""
        if self.error is not None:
            return self.error.relative_l2
        return float(self.codes.flips) if self.codes else 0.0


def subgraph_errors(
    bundle: Bundle, backend: Backend, frame: int, reference: ReferenceFrame
) -> list[OutputError]:
    """All outputs of all subgraphs that the reference ran at this frame."""
    errors = []
    for name, exact in reference.outputs.items():
        found = run_subgraph(bundle, backend, name, reference.inputs[name], exact)
        codes = None
        if CODES in exact:
            codes = code_error(found[CODES], exact[CODES], exact["margin"], reference.logits_std)
        same = codes is None or not codes.flips
        for output, value in exact.items():
            if output == CODES:
                errors.append(OutputError(frame, name, output, None, codes, same))
            else:
                error = tensor_error(found[output], value)
                errors.append(OutputError(frame, name, output, error, None, same))
    return errors
