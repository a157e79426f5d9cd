"""TensorRT's two flavours, and all that differs between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from keeprt.engine.devices.cuda.driver import require_card
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.libraries.tensorrt.plan_store import write_atomically
from keeprt.kernels.installing import install


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
            f"{flavour.module} is not installed{reason}: {install(flavour.extra)}"
        ) from None


def resolve_targets(flavour: Flavour, targets: tuple[str, ...]) -> tuple[str, ...]:
    """The compute capabilities to build for, in order and once each; none means this card's.

    Raises UsageError for a target that the flavour cannot build or that has to be named,
    BackendError where a card is needed and there is none.
    """
    if not targets:
        return (_target_here(flavour),)
    if not flavour.ahead_of_time:
        here = require_card().target
        if set(targets) != {here}:
            raise UsageError(f"{flavour.name} builds for the card present only: {here}")
    elif unknown := [target for target in targets if target not in flavour.targets]:
        raise UsageError(
            f"{flavour.name} cannot build for {unknown[0]!r}; choose {', '.join(flavour.targets)}"
        )
    return tuple(sorted(set(targets), key=lambda target: int(target.removeprefix("sm"))))


def _target_here(flavour: Flavour) -> str:
    try:
        here = require_card().target
    except BackendError as error:
        if not flavour.ahead_of_time:
            raise
        choices = ",".join(flavour.targets)
        raise UsageError(
            "there is no card here to build for: name the cards that will run the plans, such as "
            f"--target sm86,sm89; {flavour.name} builds for {choices}"
        ) from error
    if flavour.ahead_of_time and here not in flavour.targets:
        raise UsageError(
            f"{flavour.name} does not support this card ({here}); it builds for "
            f"{', '.join(flavour.targets)}: use --flavor tensorrt on this card, or name a --target "
            "of another one"
        )
    return here


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
    kept = config.create_timing_cache(file.read_bytes()) if file.is_file() else None
    if kept is not None and config.set_timing_cache(kept, ignore_mismatch=False):
        return
    # Of another card or version: the library says False, and the timings begin anew.
    config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def kept_timings(flavour: Flavour, config: Any) -> Any:
    """The timings of a build for the next one, a buffer; None where there are none."""
    cache = None if flavour.ahead_of_time else config.get_timing_cache()
    return None if cache is None else cache.serialize()


@dataclass
class ContextMaker:
    """Makes execution contexts of one engine; their scratch memory is the caller's to set.

    `runtime_cache` holds what is compiled on the card, None where the library keeps nothing. The
    contexts use it and do not keep it alive: this object has to live as long as they do.
    `stale` says that the file of an earlier start was refused.
    """

    make: Callable[[], Any]
    runtime_cache: Any = None
    stale: bool = False

    def save(self, file: Path) -> None:
        """Keeps what was compiled for the next start; does nothing where nothing was."""
        if self.runtime_cache is not None:
            write_atomically(file, self.runtime_cache.serialize())


def context_maker(trt: Any, engine: Any, runtime_cache: Path) -> ContextMaker:
    """Contexts that share what is compiled on the card, which is kept in a file.

    A cache fits one card, driver and version; another one is refused by the library, and what is
    needed is compiled anew.
    """
    strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if not hasattr(engine, "create_runtime_config"):
        return ContextMaker(lambda: engine.create_execution_context(strategy))
    config = engine.create_runtime_config()
    config.set_execution_context_allocation_strategy(strategy)
    if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
        # At once and not in the background: a captured graph would keep the fallback kernels.
        eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        config.dynamic_shapes_kernel_specialization_strategy = eager
    cache, stale = None, False
    if hasattr(config, "create_runtime_cache"):
        cache = config.create_runtime_cache()
        if runtime_cache.is_file():
            stale = not cache.deserialize(runtime_cache.read_bytes())
        config.set_runtime_cache(cache)
    return ContextMaker(lambda: engine.create_execution_context(config), cache, stale)


def require_capturable(trt: Any, flavour: Flavour, config: Any) -> None:
    """Makes a plan whose runs allocate nothing, so that they can be captured into a CUDA graph;
    the datacenter flavour's are so without a flag."""
    if flavour.ahead_of_time:
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
