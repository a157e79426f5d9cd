"""Read a weights file that nobody vouches for, and fit it strictly to a network."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from keeprt.engine.errors import CheckpointError
from keeprt.export.model.config import KeepConfig
from keeprt.export.weights.releases import canonical_name, releases
from keeprt.export.weights.synthetic import Manifest
from keeprt.kernels.installing import install

_WRAPPERS = ("params_ema", "params")
_NAMED = 3
# keys of a .safetensors file's metadata: a KeepConfig, and how the weights were made, as JSON
CONFIGURATION, RECIPE = "keeprt.configuration", "keeprt.recipe"


def read_weights(path: Path) -> dict[str, object]:
    """Name -> value of a .pth, .pt or .safetensors file, out of its wrapper, without "module.".

    Both of the authors' ways to name tensors end up as the first.
    Nothing in the file is executed. Values are not checked: see `fit_to_manifest`.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise CheckpointError(
            f"{path}: {what}; give a weights file, {', '.join(releases())} or synthetic:SEED"
        )
    if path.suffix in (".pth", ".pt"):
        return _unwrapped(_read_torch(path), path)
    if path.suffix == ".safetensors":
        return _unwrapped(_read_safetensors(path), path)
    raise CheckpointError(f"{path}: a weights file ends in .pth, .pt or .safetensors")


def read_configuration(path: Path) -> KeepConfig:
    """The configuration in a .safetensors file's metadata, or the released KEEP's without one."""
    try:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(CONFIGURATION)
        if text is None:
            return KeepConfig()
        values: dict[str, Any] = json.loads(text)
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return KeepConfig(**values | lists)
    except ImportError as error:
        raise _needs_safetensors(path) from error
    except Exception as error:
        raise _unreadable(path, error) from error


def fit_to_manifest(
    weights: Mapping[str, object], manifest: Manifest, label: str
) -> dict[str, torch.Tensor]:
    """The manifest's tensors in its order as contiguous finite float32; label names the source."""
    names = {name for name, _ in manifest}
    faults = [
        _fault("missing", [name for name, _ in manifest if name not in weights]),
        _fault("not part of the network", [name for name in weights if name not in names]),
        _fault("unfit", _unfit(weights, manifest)),
    ]
    if any(faults):
        raise CheckpointError(
            f"{label} does not fit the network: {'; '.join(filter(None, faults))}. "
            "Use the weights of this configuration (keeprt's default is the released KEEP)"
        )
    found = ((name, weights[name]) for name, _ in manifest)
    fitted = {name: _float32(value) for name, value in found if isinstance(value, torch.Tensor)}
    if broken := _fault(
        "with NaN or infinite values", [n for n, t in fitted.items() if not _finite(t)]
    ):
        raise CheckpointError(f"{label} is damaged: {broken}. Fetch or save the file again")
    return fitted


def _read_torch(path: Path) -> object:
    try:
        # only the zip format can be mapped; the older one is one stream
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    # a parser on hostile bytes fails with whatever its innards raise
    except Exception as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        if foreign:
            raise CheckpointError(
                f"{path}: refused, because it holds more than tensors (it asks to run "
                f"{foreign[1]}); save the plain state_dict, or as .safetensors"
            ) from error
        raise _unreadable(path, error) from error


def _read_safetensors(path: Path) -> object:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise _needs_safetensors(path) from error
    try:
        return load_file(path)
    except Exception as error:
        raise _unreadable(path, error) from error


def _needs_safetensors(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: reading it needs safetensors: {install('export')}")


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
    return CheckpointError(
        f"{path}: truncated, damaged, or not a weights file; fetch or save it again ({reason})"
    )


def _unwrapped(content: object, path: Path) -> dict[str, object]:
    if isinstance(content, Mapping):
        wrapped = (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping))
        content = next(wrapped, content)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise CheckpointError(
            f"{path}: holds no dictionary of named tensors; save the network's state_dict"
        )
    weights = {
        canonical_name(name.removeprefix("module.")): value for name, value in content.items()
    }
    if len(weights) != len(content):
        raise CheckpointError(
            f'{path}: names some tensors twice, such as with and without "module."'
        )
    return weights


def _unfit(weights: Mapping[str, object], manifest: Manifest) -> list[str]:
    found = ((name, shape, weights[name]) for name, shape in manifest if name in weights)
    reasons = ((name, _reason(value, shape)) for name, shape, value in found)
    return [f"{name} ({reason})" for name, reason in reasons if reason]


def _reason(value: object, shape: tuple[int, ...]) -> str | None:
    """Why a value cannot be a float32 tensor of this shape; None if it can."""
    if not isinstance(value, torch.Tensor):
        return f"{type(value).__name__}, not a tensor"
    if tuple(value.shape) != tuple(shape):
        return f"shape {tuple(value.shape)}, expected {tuple(shape)}"
    if not value.is_floating_point():
        return f"{value.dtype}, expected floating point"
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return "not stored as plain values"
    return None


def _fault(what: str, names: Sequence[str]) -> str:
    """Such as `2 missing: a, b`; an empty text when there are none."""
    if not names:
        return ""
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:_NAMED])}{more}"


def _float32(value: torch.Tensor) -> torch.Tensor:
    return value.detach().to(torch.float32).contiguous()


def _finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
