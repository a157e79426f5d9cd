"""TensorRT's two flavours, and all that differs between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.nvidia_driver import require_card
from keeprt.engine.plans import write_atomically


@dataclass(frozen=True)
class Flavour:
    """A TensorRT: its Python module, the extra that installs it, and what it can build for.

    A flavour without `targets` builds for the card that is present, and only for that one.
    """

    name: str
    module: str
    extra: str
    targets: tuple[str, ...]

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds on a machine with no GPU."""
        return bool(self.targets)


FLAVOURS = {
    "rtx": Flavour("rtx", "tensorrt_rtx", "rtx", ("sm80", "sm86", "sm89", "sm120", "sm121")),
    "tensorrt": Flavour("tensorrt", "tensorrt", "tensorrt", ()),
}


def flavour_named(name: str) -> Flavour:
    """The flavour of that name. Raises UsageError."""
    if name not in FLAVOURS:
        raise UsageError(f"unknown flavour {name!r}; choose {' or '.join(FLAVOURS)}")
    return FLAVOURS[name]


def load_flavour(flavour: Flavour) -> Any:
    """The flavour's Python module. Raises BackendError naming the extra to install."""
    try:
        return import_module(flavour.module)
    except ImportError as error:
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise BackendError(
            f"{flavour.module} is not installed{reason}: pip install 'keeprt[{flavour.extra}]'"
        ) from None


def resolve_targets(flavour: Flavour, targets: tuple[str, ...]) -> tuple[str, ...]:
    """The compute capabilities to build for, in order and once each; none means this card's.

    Raises UsageError for a target that the flavour cannot build, BackendError where a card is
    needed and there is none.
    """
    if not targets:
        return (require_card().target,)
    if not flavour.ahead_of_time:
        here = require_card().target
        if set(targets) != {here}:
            raise UsageError(f"{flavour.name} builds for the card present only: {here}")
    elif unknown := [target for target in targets if target not in flavour.targets]:
        raise UsageError(
            f"{flavour.name} cannot build for {unknown[0]!r}; choose {', '.join(flavour.targets)}"
        )
    return tuple(sorted(set(targets), key=lambda target: int(target.removeprefix("sm"))))


def new_network(trt: Any, builder: Any) -> Any:
    """An empty strongly typed network; TensorRT 10 still asks for it by a flag."""
    flags = trt.NetworkDefinitionCreationFlag
    # TensorRT-RTX, whose versions count on their own from 1, never had another kind of network.
    needs_flag = trt.__version__.startswith("10.") and hasattr(flags, "STRONGLY_TYPED")
    return builder.create_network(1 << int(flags.STRONGLY_TYPED) if needs_flag else 0)


def set_targets(trt: Any, flavour: Flavour, config: Any, targets: tuple[str, ...]) -> None:
    """Tells the builder what to build for; the datacenter flavour knows by the card present."""
    if not flavour.ahead_of_time:
        return
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), index)


def use_timing_cache(flavour: Flavour, config: Any, file: Path) -> None:
    """Gives the builder the timings of earlier builds on this card and version.

    Only a builder that times kernels on a card has any: TensorRT-RTX picks them on the target.
    """
    if flavour.ahead_of_time:
        return
    # What does not fit the card is refused by the library; then the timings begin anew.
    kept = config.create_timing_cache(file.read_bytes()) if file.is_file() else None
    cache = config.create_timing_cache(b"") if kept is None else kept
    config.set_timing_cache(cache, ignore_mismatch=False)


def save_timing_cache(flavour: Flavour, config: Any, file: Path) -> None:
    """Keeps the timings of a build for the next one."""
    if not flavour.ahead_of_time:
        write_atomically(file, config.get_timing_cache().serialize())


def context_maker(trt: Any, engine: Any, runtime_cache: Path) -> Callable[[], Any]:
    """Makes execution contexts that share what is compiled on the card, which is kept in a file.

    Their scratch memory is the caller's to set. A cache that does not fit the card or version is
    ignored by the library, and written anew.
    """
    strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if not hasattr(engine, "create_runtime_config"):
        return lambda: engine.create_execution_context(strategy)
    config = engine.create_runtime_config()
    config.set_execution_context_allocation_strategy(strategy)
    if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
        # At once and not in the background: a captured graph would keep the fallback kernels.
        eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        config.dynamic_shapes_kernel_specialization_strategy = eager
    if hasattr(config, "create_runtime_cache"):
        cache = config.create_runtime_cache()
        if runtime_cache.is_file():
            cache.deserialize(runtime_cache.read_bytes())
        config.set_runtime_cache(cache)
    return lambda: engine.create_execution_context(config)


def require_capturable(trt: Any, flavour: Flavour, config: Any) -> None:
    """Makes a plan whose runs allocate nothing, so that they can be captured into a CUDA graph;
    the datacenter flavour's are so without a flag."""
    if flavour.ahead_of_time:
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)


def save_runtime_cache(context: Any, runtime_cache: Path) -> None:
    """Keeps what was compiled on the card for the next start; does nothing where nothing was."""
    config = context.get_runtime_config() if hasattr(context, "get_runtime_config") else None
    if config is None or not hasattr(config, "get_runtime_cache"):
        return
    write_atomically(runtime_cache, config.get_runtime_cache().serialize())
