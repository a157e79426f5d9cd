"""Weights from files and seeds, and how each fault of a file is told."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from keeprt.export.weights.load import (
    checkpoint_digest,
    describe_source,
    load_checkpoint,
    published_manifest,
)
from tests.export.weights.checkpoints import MANIFEST, assert_same, refused, saved, weights


@pytest.mark.parametrize("name", ["w.pth", "w.pt"])
def test_plain_file_in_any_order(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, dict(reversed(weights().items())), name)
    assert_same(load_checkpoint(path, manifest=MANIFEST))
    assert_same(load_checkpoint(str(path), manifest=MANIFEST))


def test_file_of_the_older_torch_format(tmp_path: Path) -> None:
    path = saved(tmp_path, weights(), _use_new_zipfile_serialization=False)
    assert_same(load_checkpoint(path, manifest=MANIFEST))


def test_safetensors(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(weights(), tmp_path / "w.safetensors")
    assert_same(load_checkpoint(tmp_path / "w.safetensors", manifest=MANIFEST))


@pytest.mark.parametrize("key", ["params", "params_ema"])
def test_nested_file(tmp_path: Path, key: str) -> None:
    path = saved(tmp_path, {"iteration": 3, key: weights()})
    assert_same(load_checkpoint(path, manifest=MANIFEST))


def test_the_averaged_weights_come_first(tmp_path: Path) -> None:
    zeros = {name: torch.zeros(shape) for name, shape in MANIFEST}
    path = saved(tmp_path, {"params": zeros, "params_ema": weights()})
    assert_same(load_checkpoint(path, manifest=MANIFEST))


def test_names_of_a_parallel_module(tmp_path: Path) -> None:
    path = saved(tmp_path, {f"module.{name}": value for name, value in weights().items()})
    assert_same(load_checkpoint(path, manifest=MANIFEST))


def test_a_name_with_and_without_module_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, weights() | {"module.a.bias": torch.zeros(4)})
    assert "twice" in refused(path)


def test_views_parameters_and_half_precision_become_plain_float32(tmp_path: Path) -> None:
    content: dict[str, torch.Tensor] = weights()
    content["a.weight"] = torch.nn.Parameter(content["a.weight"].T.contiguous().T)
    content["a.bias"] = torch.arange(4, dtype=torch.float16)
    found = load_checkpoint(saved(tmp_path, content), manifest=MANIFEST)
    assert found["a.weight"].is_contiguous()
    assert not found["a.weight"].requires_grad
    assert found["a.bias"].dtype == torch.float32
    assert found["a.bias"].tolist() == [0, 1, 2, 3]


def test_missing_extra_and_unfit_tensors_are_named_and_counted(tmp_path: Path) -> None:
    content: dict[str, object] = {f"extra.{n}": torch.zeros(1) for n in range(5)}
    content |= {"a.weight": torch.zeros(3, 4), "b.norm.weight": torch.zeros(5, dtype=torch.int64)}
    message = refused(saved(tmp_path, content))
    assert "1 missing: a.bias" in message
    assert "5 not part of the network: extra.0, extra.1, extra.2, and 2 more" in message
    assert "2 unfit: a.weight (shape (3, 4), expected (4, 3))" in message
    assert "b.norm.weight (torch.int64, expected floating point)" in message


def test_values_that_are_not_tensors_are_refused(tmp_path: Path) -> None:
    assert "int, not a tensor" in refused(saved(tmp_path, weights() | {"a.bias": 3}))
    sparse = weights() | {"a.weight": torch.zeros(4, 3).to_sparse()}
    assert "not stored as plain values" in refused(saved(tmp_path, sparse))
    assert "no dictionary" in refused(saved(tmp_path, [1, 2, 3]))
    assert "no dictionary" in refused(saved(tmp_path, {1: torch.zeros(3)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    content = weights()
    content["a.bias"][2] = value
    assert "1 with NaN or infinite values: a.bias" in refused(saved(tmp_path, content))


class _Intruder:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, zipped: bool) -> None:
    trap = tmp_path / "trap"
    content = weights() | {"a.bias": _Intruder(trap)}
    path = saved(tmp_path, content, _use_new_zipfile_serialization=zipped)
    assert "mkdir" in refused(path)
    assert not trap.exists()


def test_a_bare_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "w.pth").write_bytes(pickle.dumps(_Intruder(trap)))
    refused(tmp_path / "w.pth")
    assert not trap.exists()


@pytest.mark.parametrize("keep", [0, 1, 60, 0.5, 0.9, -1])
def test_truncated_torch_file(tmp_path: Path, keep: float) -> None:
    path = saved(tmp_path, weights())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if 0 < keep < 1 else int(keep)])
    assert str(path) in refused(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_garbage(tmp_path: Path, suffix: str) -> None:
    for seed in range(20):
        path = tmp_path / f"w{suffix}"
        path.write_bytes(np.random.default_rng(seed).bytes(500))
        assert "damaged" in refused(path)


def test_missing_file_folder_and_unknown_kind(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "w.pth")
    assert "folder" in refused(tmp_path)
    (tmp_path / "w.onnx").write_bytes(b"x")
    assert ".safetensors" in refused(tmp_path / "w.onnx")


@pytest.mark.parametrize("source", ["synthetic", "synthetic:", "synthetic:x", "synthetic:-1"])
def test_a_bad_seed_is_explained(source: str) -> None:
    assert "synthetic:1" in refused(source)


def test_sources_in_words(tmp_path: Path) -> None:
    assert describe_source("synthetic:007") == "synthetic:7"
    assert describe_source("official") == "official KEEP-b76feb75"
    assert describe_source(str(tmp_path / "mine.pth")) == "mine.pth"
    assert describe_source(tmp_path / "mine.pth") == "mine.pth"


def test_digest_is_the_hash_of_the_values_in_order() -> None:
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2)}
    values = np.array([0, 3, 1, 4, 2, 5, 1, 1], "<f4")
    assert checkpoint_digest(tensors) == hashlib.sha256(values.tobytes()).hexdigest()


def test_the_default_manifest_is_the_released_network() -> None:
    assert published_manifest()[0] == ("position_emb", (256, 512))
    assert len(published_manifest()) == 896
