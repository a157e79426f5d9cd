"""TensorRT, either flavour: loads built plans and runs them on a stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.tensorrt_choice import fitting_profile, plan_keys
from keeprt.engine.backends.tensorrt_flavours import (
    Flavour,
    context_maker,
    flavour_named,
    load_flavour,
    save_runtime_cache,
)
from keeprt.engine.backends.tensorrt_plans import BuildRequest
from keeprt.engine.bundle import DTYPE_BYTES, Bundle, SubgraphSpec
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.nvidia_driver import Card, require_card
from keeprt.engine.plans import Profile, find_plan, plans_folder

Arrays = Mapping[str, NDArray[Any]]


class TensorRtBackend:
    """One execution context per subgraph, made when the plans are loaded."""

    def __init__(
        self,
        bundle: Bundle,
        flavour: str = "rtx",
        profile: Profile | None = None,
        *,
        folder: Path | None = None,
        device: int = 0,
    ) -> None:
        """Loads the plans that `keeprt build` made for this card, this bundle and these sizes.

        Raises UsageError for an unknown flavour, BackendError where the driver, the library or a
        fitting plan is missing; the message says what there is instead and how to make it.
        """
        kind = flavour_named(flavour)
        card = require_card(device)
        trt = load_flavour(kind)
        self.profile = profile or Profile()
        self._cuda = _Cuda(device)
        self.stream = self._cuda.new_stream()
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._specs = bundle.subgraphs
        folder = folder or plans_folder(bundle)
        self._makers: dict[str, Callable[[], Any]] = {}
        self._scratch: dict[str, tuple[int, int]] = {}
        self._contexts: dict[str, Any] = {}
        self._caches: dict[str, Path] = {}
        for name in bundle.subgraphs:
            file = self._find(bundle, name, kind, trt.__version__, card, folder)
            self._caches[name] = file.with_name(f"{file.name}.{card.target}.cache")
            self._load(trt, file, name)
            self._contexts[name] = self._new_context(name)
        self._staging: dict[str, dict[str, int]] = {}

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
        """Nothing to prepare: a context runs on whatever stream it is put on."""

    def bind(
        self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]
    ) -> Callable[[int], None]:
        """One subgraph on fixed addresses, in a context of its own; raises as `enqueue`.

        A captured graph holds only while the context that it was captured from is left alone. The
        contexts of a subgraph share scratch memory: their runs go on one stream, in order.
        """
        self._check_sizes(subgraph, axes)
        context = self._new_context(subgraph)
        self._set(context, subgraph, addresses, axes)
        return lambda stream: self._execute(context, subgraph, stream)

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
        self._check_sizes(subgraph, axes)
        context = self._contexts[subgraph]
        self._set(context, subgraph, addresses, axes)
        self._execute(context, subgraph, stream)

    def _set(
        self, context: Any, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]
    ) -> None:
        spec = self._specs[subgraph]
        for tensor in spec.inputs:
            context.set_input_shape(tensor.name, tensor.sized(**axes))
        for tensor in (*spec.inputs, *spec.outputs):
            context.set_tensor_address(tensor.name, addresses[tensor.name])

    def _execute(self, context: Any, subgraph: str, stream: int) -> None:
        if not context.execute_async_v3(stream):
            raise BackendError(f"TensorRT refused to run {subgraph}; run `keeprt doctor`")

    def run(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> None:
        """Runs one subgraph on arrays in host memory, through the backend's own device memory."""
        spec = self._specs[subgraph]
        if subgraph not in self._staging:
            self._staging[subgraph] = self._allocate(spec)
        staging = self._staging[subgraph]
        for name, array in inputs.items():
            self._cuda.to_device(staging[name], array, self.stream)
        self.enqueue(subgraph, staging, _axes(spec, inputs, outputs), self.stream)
        for name, array in outputs.items():
            self._cuda.to_host(array, staging[name], self.stream)
        self._cuda.wait(self.stream)

    def save_caches(self) -> None:
        """Keeps the kernels compiled on this card, once every subgraph has run."""
        for name, context in self._contexts.items():
            save_runtime_cache(context, self._caches[name])

    def _find(
        self, bundle: Bundle, name: str, flavour: Flavour, version: str, card: Card, folder: Path
    ) -> Path:
        request = BuildRequest(flavour.name, (card.target,), self.profile)
        keys = plan_keys(bundle, name, flavour.name, version, card.target, self.profile)
        for key in keys:
            if (folder / key.file_name).is_file():
                return find_plan(folder, key, request.command(bundle.path))[0]
        return find_plan(folder, keys[-1], request.command(bundle.path))[0]

    def _load(self, trt: Any, file: Path, name: str) -> None:
        engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
        if engine is None:
            raise BackendError(
                f"{file} does not load on this card and driver; run `keeprt doctor`, or build again"
            )
        self._makers[name] = context_maker(trt, engine, self._caches[name])
        size = max(int(engine.device_memory_size_v2), 1)
        self._scratch[name] = (self._cuda.allocate(size), size)

    def _new_context(self, name: str) -> Any:
        context = self._makers[name]()
        if context is None:
            raise BackendError(f"no GPU memory for {name}; close other programs or use fewer faces")
        context.set_device_memory(*self._scratch[name])
        return context

    def _allocate(self, spec: SubgraphSpec) -> dict[str, int]:
        largest = {axis: sizes[2] for axis, sizes in self.profile.axes().items()}
        return {
            tensor.name: self._cuda.allocate(
                math.prod(tensor.sized(**largest)) * DTYPE_BYTES[tensor.dtype]
            )
            for tensor in (*spec.inputs, *spec.outputs)
        }

    def _check_sizes(self, subgraph: str, axes: Mapping[str, int]) -> None:
        for axis, (low, _, high) in self.profile.of(self._specs[subgraph]).items():
            if not low <= axes[axis] <= high:
                raise UsageError(
                    f"{subgraph} was built for {low} to {high} {axis}, not {axes[axis]}; build "
                    f"with a larger --{axis}"
                )


def _axes(spec: SubgraphSpec, inputs: Arrays, outputs: Arrays) -> dict[str, int]:
    """Sizes of the free axes, read off the arrays."""
    arrays = {**inputs, **outputs}
    return {
        axis: size
        for tensor in (*spec.inputs, *spec.outputs)
        for axis, size in zip(tensor.shape, arrays[tensor.name].shape, strict=True)
        if isinstance(axis, str)
    }


class _Cuda:
    """The few calls of the CUDA driver that running needs; memory lives as long as the process."""

    def __init__(self, device: int) -> None:
        try:
            from cuda.bindings import driver
        except ImportError:
            raise BackendError(
                "cuda-bindings is not installed: pip install 'keeprt[rtx]'"
            ) from None
        self._driver = driver
        self._call(driver.cuInit, 0)
        handle = self._call(driver.cuDeviceGet, device)
        self._call(driver.cuCtxSetCurrent, self._call(driver.cuDevicePrimaryCtxRetain, handle))

    def new_stream(self) -> int:
        flags = self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        return int(self._call(self._driver.cuStreamCreate, flags))

    def allocate(self, size_bytes: int) -> int:
        return int(self._call(self._driver.cuMemAlloc, size_bytes))

    def to_device(self, pointer: int, array: NDArray[Any], stream: int) -> None:
        source = np.ascontiguousarray(array)
        self._call(
            self._driver.cuMemcpyHtoDAsync, pointer, source.ctypes.data, source.nbytes, stream
        )

    def to_host(self, array: NDArray[Any], pointer: int, stream: int) -> None:
        self._call(self._driver.cuMemcpyDtoHAsync, array.ctypes.data, pointer, array.nbytes, stream)

    def wait(self, stream: int) -> None:
        self._call(self._driver.cuStreamSynchronize, stream)

    def _call(self, function: Any, *arguments: Any) -> Any:
        code, *values = function(*arguments)
        if int(code):
            raise BackendError(f"CUDA: {function.__name__} says {code.name}; run `keeprt doctor`")
        return values[0] if values else None
