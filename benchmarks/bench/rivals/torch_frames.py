"""The rival "graphs": PyTorch's modules in keeprt's own frames, captured into CUDA graphs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from keeprt.benchmarks.bench.rivals.contenders import ContenderError, EngineContender
from keeprt.benchmarks.bench.rivals.torch_card import check_torch
from keeprt.benchmarks.torch_engines import TorchEngines, network_of
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.opening import DeviceChoice
from keeprt.engine.restorer import Restorer


@dataclass
class TorchFrames(EngineContender):
    """Streams, states, kernels, copies and graphs are the engine's, so that what differs is what
    computes the subgraphs. With `half` they compute in float16 by autocast."""

    weights: str = ""
    half: bool = False

    def load(self) -> None:
        """Reads the weights and captures every size. Raises ContenderError where it cannot run
        here, UsageError for other weights than the bundle's."""
        case = self.case
        if case.mode != "stream":
            raise ContenderError(f"runs stream mode only, not {case.mode}")
        bundle = load_bundle(self.bundle)
        self._restorer = Restorer(
            bundle,
            self.engines(bundle),
            window=case.window,
            max_faces=case.faces,
            choice=DeviceChoice(self.device),
        )
        self._restorer.warm_up()

    def engines(self, bundle: Bundle) -> TorchEngines:
        """What computes the subgraphs, with TF32 where PyTorch itself has it on."""
        device = f"cuda:{self.device}"
        check_torch(device)
        compute = torch.float16 if self.half else torch.float32
        network = network_of(bundle, self.weights)
        return TorchEngines(bundle, network, device, compute, tf32=True)
