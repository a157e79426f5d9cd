"""TensorRT, either flavour: loads built plans and runs them on a stream."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import DTYPE_BYTES
from keeprt.engine.devices.cuda.driver import Card, require_card
from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest
from keeprt.engine.libraries.tensorrt.calls import CudaCalls, Scratch
from keeprt.engine.libraries.tensorrt.choice import fitting_profile, plan_keys
from keeprt.engine.libraries.tensorrt.flavours import (
    ContextMaker,
    Flavour,
    context_maker,
    flavour_named,
    load_flavour,
)
from keeprt.engine.libraries.tensorrt.graphs import GraphProfile, Graphs, check_sizes
from keeprt.engine.libraries.tensorrt.layer_profile import (
    LayerProfile,
    layer_information,
    layer_recorder,
    profile_records,
)
from keeprt.engine.libraries.tensorrt.plan_store import Profile, find_plan, plans_folder
from keeprt.engine.libraries.tensorrt.staging import Arrays, Staging

PROFILE_WARM_UP = 10  # runs that are not counted


class TensorRtBackend:
    """Loaded plans; a context for each binding, scratch memory for each stream."""

    def __init__(
        self,
        graphs: Graphs,
        flavour: str = "rtx",
        profile: GraphProfile | None = None,
        *,
        folder: Path | None = None,
        device: int = 0,
        remake: str = "",
    ) -> None:
        """Loads the plans that `keeprt build` made for this card, these graphs and these sizes;
        `remake` is the command that does, where it is not that of a bundle.

        Raises UsageError for an unknown flavour, BackendError where the driver, the library or a
        fitting plan is missing; the message says what there is instead and how to make it.
        """
        kind = flavour_named(flavour)
        card = require_card(device)
        self._trt = trt = load_flavour(kind)
        self.profile: GraphProfile = profile or Profile()
        self._specs = graphs.subgraphs
        self._engines: dict[str, Any] = {}
        self._makers: dict[str, ContextMaker] = {}
        self._contexts: dict[str, Any] = {}
        self._caches: dict[str, Path] = {}
        folder = folder or plans_folder(graphs)
        files = {n: self._find(graphs, n, kind, card, folder, remake) for n in graphs.subgraphs}
        self._cuda = CudaCalls(device)
        with self._cuda:
            self.stream = self._cuda.new_stream()
            everything = Scratch(self._cuda)
            self._scratch = dict.fromkeys(graphs.subgraphs, everything)
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
            for name, file in files.items():
                self._caches[name] = file.with_name(f"{file.name}.{card.target}.cache")
                self._load(trt, file, name)
        self._staging = Staging(self._cuda, self.stream, self._specs, self.profile, self.enqueue)

    @classmethod
    def for_frames(
        cls, bundle: Bundle, flavour: str, *, faces: int, window: int, device: int = 0
    ) -> TensorRtBackend:
        """Loads plans that hold 1 to `faces` faces and windows up to `window`; raises as above."""
        kind, card = flavour_named(flavour), require_card(device)
        version, folder = load_flavour(kind).__version__, plans_folder(bundle)
        profile = fitting_profile(
            bundle, flavour, version, card.target, folder, faces=faces, window=window
        )
        return cls(bundle, flavour, profile, folder=folder, device=device)

    @property
    def captures(self) -> bool:
        """A run can be captured into a CUDA graph."""
        return True

    def join(self, streams: Mapping[str, int]) -> None:
        """Gives each stream scratch memory of its own: runs on one stream follow each other."""
        blocks = {stream: Scratch(self._cuda) for stream in streams.values()}
        self._scratch |= {name: blocks[stream] for name, stream in streams.items()}

    def warmed(self) -> None:
        """Keeps the kernels that were compiled on this card for the next start. Raises OSError."""
        for name, maker in self._makers.items():
            maker.save(self._caches[name])

    def close(self) -> None:
        """Gives all memory of the card back; nothing may run any more."""
        with self._cuda:
            self._contexts.clear()
            self._makers.clear()
            self._engines.clear()
            self._cuda.free_all()

    def bind(
        self,
        subgraph: str,
        addresses: Mapping[str, int],
        axes: Mapping[str, int],
        profiler: Any = None,
    ) -> Callable[[int], None]:
        """One subgraph on fixed addresses, in a context of its own; raises as `enqueue`.

        A captured graph holds only while the context that it was captured from is left alone. The
        contexts of a stream share scratch memory, as much as the largest needs that is bound
        before the first runs: bind the largest sizes first. `profiler` is TensorRT's, told of each
        layer's time.
        """
        check_sizes(subgraph, self._specs[subgraph], self.profile, axes)
        context, scratch = self._new_context(subgraph), self._scratch[subgraph]
        if profiler is not None:
            context.profiler = profiler
        self._set(context, subgraph, addresses, axes)
        size = self._scratch_bytes(context, subgraph)
        scratch.ask(size)
        placed = False

        def run(stream: int) -> None:
            nonlocal placed
            if not placed:
                context.set_device_memory(*scratch.block(size))
                placed = True
            self._execute(context, subgraph, stream)

        return run

    def enqueue(
        self,
        subgraph: str,
        addresses: Mapping[str, int],
        axes: Mapping[str, int],
        stream: int,
    ) -> None:
        """Puts one run on a CUDA stream, on tensors in device memory.

        `addresses` are device pointers by tensor, `axes` the sizes of the free axes. Raises
        UsageError for sizes outside the profile, BackendError where TensorRT refuses the run.
        """
        check_sizes(subgraph, self._specs[subgraph], self.profile, axes)
        if subgraph not in self._contexts:
            self._contexts[subgraph] = self._new_context(subgraph)
        context = self._contexts[subgraph]
        self._set(context, subgraph, addresses, axes)
        size = self._scratch_bytes(context, subgraph)
        context.set_device_memory(*self._scratch[subgraph].block(size))
        self._execute(context, subgraph, stream)

    def _set(
        self, context: Any, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]
    ) -> None:
        spec = self._specs[subgraph]
        for tensor in spec.inputs:
            shape = tensor.sized(**axes)
            if not context.set_input_shape(tensor.name, shape):
                raise BackendError(f"TensorRT refuses shape {shape} of {subgraph}.{tensor.name}")
        for tensor in (*spec.inputs, *spec.outputs):
            if not context.set_tensor_address(tensor.name, addresses[tensor.name]):
                raise BackendError(f"TensorRT refuses the address of {subgraph}.{tensor.name}")

    def _execute(self, context: Any, subgraph: str, stream: int) -> None:
        if not context.execute_async_v3(stream):
            raise BackendError(f"TensorRT refused to run {subgraph}; run `keeprt doctor`")

    def run(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> None:
        """Runs one subgraph on arrays in host memory, through the backend's own device memory."""
        self._staging.run(subgraph, inputs, outputs)

    def layers(self, subgraph: str) -> dict[str, Any]:
        """What the library says of a plan's layers. Raises BackendError where it tells nothing."""
        return layer_information(self._trt, self._engines[subgraph], subgraph)

    def profile_layers(self, subgraph: str, axes: Mapping[str, int], runs: int) -> LayerProfile:
        """The layers of a plan and the time of each in so many runs on zeros, by themselves and
        with a wait after each. Raises as `enqueue`, and BackendError for a plan without layers."""
        layers = self.layers(subgraph)
        spec, recorder = self._specs[subgraph], layer_recorder(self._trt)
        with self._cuda:
            addresses = self._staging.allocate(spec)
            for tensor in spec.inputs:
                zeros = np.zeros(
                    math.prod(tensor.sized(**axes)) * DTYPE_BYTES[tensor.dtype], np.uint8
                )
                self._cuda.to_device(addresses[tensor.name], zeros, self.stream)
                self._cuda.wait(self.stream)
            run = self.bind(subgraph, addresses, axes, profiler=recorder)
            for number in range(PROFILE_WARM_UP + runs):
                if number == PROFILE_WARM_UP:
                    recorder.ms.clear()
                run(self.stream)
                self._cuda.wait(self.stream)
        return LayerProfile(layers, profile_records(recorder.ms))

    def _find(
        self, graphs: Graphs, name: str, flavour: Flavour, card: Card, folder: Path, remake: str
    ) -> Path:
        version, target = self._trt.__version__, card.target
        keys = plan_keys(graphs, name, flavour.name, version, target, self.profile, folder)
        there = (key for key in keys if (folder / key.file_name).is_file())
        request = BuildRequest(flavour.name, (target,), self.profile)
        return find_plan(folder, next(there, keys[0]), remake or request.command(graphs.path))[0]

    def _load(self, trt: Any, file: Path, name: str) -> None:
        engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
        if engine is None:
            raise BackendError(
                f"{file} does not load on this card and driver; run `keeprt doctor`, or build again"
            )
        self._engines[name] = engine
        self._makers[name] = context_maker(trt, engine, self._caches[name])
        if self._makers[name].stale:
            warnings.warn(
                f"{self._caches[name].name} was made on another card, driver or version: {name} is "
                "compiled anew, which takes longer this once",
                stacklevel=2,
            )

    def _new_context(self, name: str) -> Any:
        context = self._makers[name].make()
        if context is None:
            raise BackendError(f"no GPU memory for {name}; close other programs or use fewer faces")
        return context

    def _scratch_bytes(self, context: Any, name: str) -> int:
        """What the context needs at its present shapes, not at the profile's largest."""
        if hasattr(context, "update_device_memory_size_for_shapes"):
            return max(int(context.update_device_memory_size_for_shapes()), 1)
        return max(int(self._engines[name].device_memory_size_v2), 1)
