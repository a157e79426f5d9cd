"""PyTorch in place of TensorRT: the subgraphs' own modules on a card's memory and streams.

For cards that TensorRT-RTX does not support, such as the H100: everything but the plans then runs
for real. It has not been seen on a card yet: tests run it on host memory and on the driver there.

    python -m keeprt.benchmarks.torch_engines bundle --weights official --report tried.md
"""

from __future__ import annotations

import argparse
import ctypes
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from keeprt.benchmarks.bench.rivals.reference import configuration_of
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.bundle.specs import DTYPE_BYTES, TensorSpec
from keeprt.engine.devices.cuda.engines import Run
from keeprt.engine.errors import BundleError, UsageError
from keeprt.engine.selftest.checks import machine_checks, require_card
from keeprt.engine.selftest.frames import LONG, card_checks, host_checks
from keeprt.engine.selftest.report import as_page
from keeprt.engine.summaries import write_text
from keeprt.export.model import Keep
from keeprt.export.pipeline import load_network
from keeprt.export.subgraphs import split

TORCH_TYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "bool": torch.bool,
}
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchEngines:
    """`Engines` over the modules of a network; what crosses borders has the bundle's types.

    Temporaries lie in one pool for each stream: its runs come one after the other, captured or not,
    so that they may share it as plans share their scratch memory.
    """

    captures = True

    def __init__(
        self,
        bundle: Bundle,
        network: Keep,
        device: str = "cuda:0",
        compute: torch.dtype = torch.float32,
        *,
        tf32: bool = False,
    ) -> None:
        """`device` "cpu" takes host memory for a card's, for tests; `compute` float16 or bfloat16
        computes by autocast; `tf32` lets convolutions round float32 to it, as PyTorch does by
        itself. Raises UsageError for a network of other subgraphs."""
        graphs = {graph.name: graph.module for graph in split(network)}
        if set(graphs) != set(bundle.subgraphs):
            raise UsageError(
                f"the network has {sorted(graphs)}, the bundle {sorted(bundle.subgraphs)}"
            )
        self._bundle, self._compute, self._tf32 = bundle, compute, tf32
        self.device = torch.device(device)
        self._modules: dict[str, nn.Module] = {
            name: module.to(self.device) for name, module in graphs.items()
        }
        self._pools: dict[int, Any] = {}

    def join(self, streams: Mapping[str, int]) -> None:
        """One pool for each stream."""
        if self.device.type == "cuda":
            self._pools = {stream: torch.cuda.MemPool() for stream in set(streams.values())}

    def bind(self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]) -> Run:
        """One subgraph on fixed addresses, to be put on its stream as often as wanted."""
        spec = self._bundle.subgraphs[subgraph]
        inputs, outputs = (
            [self._tensor(tensor, addresses[tensor.name], axes) for tensor in tensors]
            for tensors in (spec.inputs, spec.outputs)
        )
        work = self.work(subgraph, inputs, outputs)

        def run(stream: int) -> None:
            with self._on(stream):
                work()

        return run

    def work(
        self, subgraph: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> Callable[[], None]:
        """The subgraph from tensors into tensors, both in the manifest's order."""
        module, compute, kind = self._modules[subgraph], self._compute, self.device.type
        autocast = compute != torch.float32

        def run() -> None:
            rounding = torch.backends.cudnn.flags(enabled=True, allow_tf32=self._tf32)
            cast = torch.autocast(kind, compute) if autocast else nullcontext()
            with torch.inference_mode(), rounding, cast:
                given = [t.float() if t.is_floating_point() else t for t in inputs]
                made = module(*given)
                for to, value in zip(outputs, as_tuple(made), strict=True):
                    to.copy_(value)

        return run

    def run(self, subgraph: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """From arrays in host memory into arrays there, and waits for it."""
        spec = self._bundle.subgraphs[subgraph]
        given = [torch.from_numpy(inputs[t.name]).to(self.device) for t in spec.inputs]
        there = [torch.from_numpy(outputs[t.name]) for t in spec.outputs]
        made = [tensor.to(self.device) for tensor in there]
        self.work(subgraph, given, made)()
        for to, value in zip(there, made, strict=True):
            to.copy_(value)

    def warmed(self) -> None:
        """Nothing is kept between starts."""

    def close(self) -> None:
        """Gives modules and pools back."""
        self._modules.clear()
        self._pools.clear()

    def _tensor(self, spec: TensorSpec, address: int, axes: Mapping[str, int]) -> Tensor:
        shape = spec.sized(**axes)
        size_bytes = math.prod(shape) * DTYPE_BYTES[spec.dtype]
        raw = bytes_at(address, size_bytes, self.device)
        return raw.view(TORCH_TYPES[spec.dtype]).view(shape)

    @contextmanager
    def _on(self, stream: int) -> Iterator[None]:
        """The stream, which may be capturing, and its pool for what is allocated meanwhile."""
        if self.device.type != "cuda":
            yield
            return
        of_another: Any = torch.cuda.ExternalStream  # torch leaves it untyped
        external = of_another(stream, device=self.device)
        with torch.cuda.use_mem_pool(self._pools[stream]), torch.cuda.stream(external):
            yield


class Span:
    """Bytes of a card, as `__cuda_array_interface__` shows them; ready, and nobody's to free."""

    def __init__(self, address: int, size_bytes: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size_bytes,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
            "stream": None,
        }


def bytes_at(address: int, size_bytes: int, device: torch.device) -> Tensor:
    """Memory as a tensor of uint8, without a copy."""
    if device.type == "cuda":
        return torch.as_tensor(Span(address, size_bytes), device=device)
    memory: Any = (ctypes.c_ubyte * size_bytes).from_address(address)
    return torch.from_numpy(np.frombuffer(memory, np.uint8))


def as_tuple(made: Any) -> tuple[Tensor, ...]:
    """What a module gives, whether it is one tensor or several."""
    return made if isinstance(made, tuple) else (made,)


def network_of(bundle: Bundle, weights: str) -> Keep:
    """The network that a bundle was made of. Raises UsageError for other weights."""
    source, made_of = weights or bundle.findable_weights, bundle.manifest.weights_source
    if not source:
        raise UsageError(f"give the bundle's weights with --weights: {made_of}")
    network, digest = load_network(source, configuration_of(bundle.manifest.configuration))
    if digest != bundle.manifest.weights_sha256:
        raise UsageError(f"the bundle was made of {made_of}, not of {source}: give --weights")
    return network


def main(arguments: Sequence[str] | None = None) -> int:
    """The checks of `keeprt selftest`, with PyTorch for the plans; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m keeprt.benchmarks.torch_engines")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--weights", default="", help="where the bundle's weights are")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument(
        "--frames", type=int, default=LONG, help="frames that memory is watched for"
    )
    parser.add_argument("--report", type=Path)
    given = parser.parse_args(arguments)
    try:
        bundle = load_bundle(given.bundle)
    except BundleError as error:
        parser.error(str(error))

    def library() -> TorchEngines:
        require_card()
        network = network_of(bundle, given.weights)
        return TorchEngines(bundle, network, f"cuda:{given.device}", PRECISIONS[given.precision])

    checks = [
        *machine_checks(given.device),
        *host_checks(bundle),
        *card_checks(bundle, library, given.device, given.frames),
    ]
    for check in checks:
        print(f"{check.state:>12}  {check.name}: {check.said}")
    if given.report is not None:
        write_text(given.report, as_page(checks))
    return int(any(check.state == "failed" for check in checks))


if __name__ == "__main__":
    raise SystemExit(main())
