"""ONNX Runtime's execution providers: how each is named, asked for, and missed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from keeprt.engine.errors import BackendError, UsageError
from keeprt.kernels.installing import install, install_gpu_runtime, install_onnxruntime

RTX_PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"


@dataclass(frozen=True)
class Provider:
    """A provider: ONNX Runtime's name for it, what says how to install it, its first options."""

    ort_name: str
    remedy: Callable[[], str]
    options: dict[str, str] = field(default_factory=dict)
    plugin: str = ""


PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", install_onnxruntime),
    # TF32 is on by default, and float32 would mean 10 bits of mantissa.
    "cuda": Provider("CUDAExecutionProvider", install_gpu_runtime, {"use_tf32": "0"}),
    "tensorrt": Provider(
        "TensorrtExecutionProvider", install_gpu_runtime, {"trt_engine_cache_enable": "1"}
    ),
    "rtx": Provider(
        "NvTensorRTRTXExecutionProvider",
        lambda: f"{install('cpu')} onnxruntime-ep-nv-tensorrt-rtx",
        plugin=RTX_PLUGIN,
    ),
}


def provider_named(name: str) -> Provider:
    """The provider of that name. Raises UsageError."""
    if name not in PROVIDERS:
        raise UsageError(f"unknown provider {name!r}; choose {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def on_device(provider: Provider, device: int) -> Provider:
    """The provider on the card of that number. Raises UsageError where it takes none but the
    first."""
    if device == 0:
        return provider
    if provider.plugin or provider.ort_name == PROVIDERS["cpu"].ort_name:
        raise UsageError(f"{provider.ort_name} takes no number of a card: leave --device out")
    return replace(provider, options={**provider.options, "device_id": str(device)})


def open_session(ort: Any, provider: Provider, graph: str | bytes, options: Any) -> Any:
    """A session of `graph` (a path or a serialised model) on a provider prepared in `options`.

    What ONNX Runtime itself raises for a graph it cannot load passes through; BackendError where it
    took another provider.
    """
    how = {} if provider.plugin else {"providers": [(provider.ort_name, provider.options)]}
    session = ort.InferenceSession(graph, options, **how)
    if session.get_providers()[0] != provider.ort_name:
        raise BackendError(f"ONNX Runtime did not start {provider.ort_name}; run `keeprt doctor`")
    return session


def prepare(ort: Any, provider: Provider, options: Any) -> None:
    """Makes sure that a provider is there; a plugin is registered and put into `options`.

    Raises BackendError saying what to install.
    """
    if provider.plugin:
        options.add_provider_for_devices(_plugin_devices(ort, provider), provider.options)
    elif provider.ort_name not in ort.get_available_providers():
        raise BackendError(f"this ONNX Runtime has no {provider.ort_name}; {provider.remedy()}")
    elif provider.ort_name != PROVIDERS["cpu"].ort_name:
        load_cuda_libraries(ort)


def load_cuda_libraries(ort: Any) -> None:
    """Loads CUDA and cuDNN from NVIDIA's wheels, where no search path leads to them."""
    if hasattr(ort, "preload_dlls"):  # not in every build of ONNX Runtime
        # It prints what it does not find; where that is missed, the session says so.
        with redirect_stdout(sys.stderr):
            ort.preload_dlls()


def _plugin_devices(ort: Any, provider: Provider) -> list[Any]:
    try:
        plugin = import_module(provider.plugin)
    except ImportError:
        raise BackendError(
            f"ONNX Runtime's {provider.ort_name} is not installed: {provider.remedy()}"
        ) from None
    name = plugin.get_ep_name()
    if not any(device.ep_name == name for device in ort.get_ep_devices()):
        try:
            ort.register_execution_provider_library(name, plugin.get_library_path())
        except Exception as error:  # the library raises a family of its own, unrelated classes
            reason = str(error).splitlines()[0]
            raise BackendError(f"{name} does not start: {reason}; run `keeprt doctor`") from None
    devices = [device for device in ort.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise BackendError(f"{name} finds no GPU that it can use; run `keeprt doctor`")
    return devices
