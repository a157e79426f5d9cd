"""A small checkpoint for tests: its values, a file of it, and how it is refused."""

from pathlib import Path

import pytest
import torch

from keeprt.engine.errors import CheckpointError
from keeprt.export.weights.load import (
    load_checkpoint,
)

MANIFEST = [("a.weight", (4, 3)), ("a.bias", (4,)), ("b.norm.weight", (5,))]


def weights() -> dict[str, torch.Tensor]:
    return load_checkpoint("synthetic:5", manifest=MANIFEST)


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert list(found) == [name for name, _ in MANIFEST]
    for name, tensor in weights().items():
        assert found[name].dtype == torch.float32
        assert found[name].is_contiguous()
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def refused(source: str | Path, **options: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(source, manifest=MANIFEST, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


def saved(folder: Path, content: object, name: str = "w.pth", **options: object) -> Path:
    path = folder / name
    torch.save(content, path, **options)  # type: ignore[arg-type]
    return path
