"""Weights from files, from a release on a real local server, and how each fault is told."""

import hashlib
import http.server
import io
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from keeprt.engine.errors import CheckpointError
from keeprt.export import checkpoint_official
from keeprt.export.checkpoint import (
    checkpoint_digest,
    describe_source,
    load_checkpoint,
    published_manifest,
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


# --- files


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


# --- names and digests


@pytest.mark.parametrize("source", ["synthetic", "synthetic:", "synthetic:x", "synthetic:-1"])
def test_a_bad_seed_is_explained(source: str) -> None:
    assert "synthetic:1" in refused(source)


def test_sources_in_words(tmp_path: Path) -> None:
    assert describe_source("synthetic:007") == "synthetic:7"
    assert describe_source("official") == "official KEEP-a1a14d46"
    assert describe_source(str(tmp_path / "mine.pth")) == "mine.pth"
    assert describe_source(tmp_path / "mine.pth") == "mine.pth"


def test_digest_is_the_hash_of_the_values_in_order() -> None:
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2)}
    values = np.array([0, 3, 1, 4, 2, 5, 1, 1], "<f4")
    assert checkpoint_digest(tensors) == hashlib.sha256(values.tobytes()).hexdigest()


def test_the_default_manifest_is_the_released_network() -> None:
    assert published_manifest()[0] == ("position_emb", (256, 512))
    assert len(published_manifest()) == 896


# --- the release


class _Server(http.server.ThreadingHTTPServer):
    """Serves `body`; what it does wrong is set by the test."""

    daemon_threads = True
    body = b""
    ranges = True
    redirect = False
    status = 200
    cut_after: list[int]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str | None] = []
        self.cut_after = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output stays clean."""

    def do_GET(self) -> None:
        if self.server.redirect and not self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", f"/moved{self.path}")
            self.end_headers()
            return
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        body, start = self.server.body, 0
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.server.cut_after.pop(0) if self.server.cut_after else len(body)
        self.wfile.write(body[start:][:cut])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setenv("KEEPRT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    stream = io.BytesIO()
    torch.save(weights(), stream)
    with _Server() as running:
        running.body = stream.getvalue()
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def release(server: _Server) -> str:
    """The URL under a name that holds the content's hash, as the authors' does."""
    prefix = hashlib.sha256(server.body).hexdigest()[:8]
    return f"http://127.0.0.1:{server.server_port}/v0/KEEP-{prefix}.pth"


def fetch(url: str, **options: object) -> dict[str, torch.Tensor]:
    return load_checkpoint("official", manifest=MANIFEST, official_url=url, **options)  # type: ignore[arg-type]


def cached(url: str) -> Path:
    return checkpoint_official.weights_folder() / checkpoint_official.official_name(url)


def part_of(url: str) -> Path:
    return cached(url).with_name(cached(url).name + ".part")


def test_release_is_fetched_once(server: _Server) -> None:
    url, seen = release(server), list[tuple[int, int | None]]()
    assert_same(fetch(url, progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (len(server.body), len(server.body))
    assert_same(fetch(url))
    assert server.requests == [None]
    assert cached(url).read_bytes() == server.body
    assert not part_of(url).exists()


def test_licence_is_shown_once_for_a_cache(server: _Server) -> None:
    shown: list[str] = []
    url = release(server)
    fetch(url)
    fetch(url, notify=shown.append)
    fetch(url, notify=shown.append)
    assert len(shown) == 1
    assert "non-commercial" in shown[0]
    assert "S-Lab License 1.0" in shown[0]


def test_interrupted_transfer_goes_on_by_itself(server: _Server) -> None:
    server.cut_after = [700, 300]
    assert_same(fetch(release(server)))
    assert server.requests == [None, "bytes=700-", "bytes=1000-"]


def test_later_run_goes_on_from_the_part(server: _Server) -> None:
    url = release(server)
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(server.body[:900])
    server.redirect = True
    assert_same(fetch(url))
    assert server.requests == ["bytes=900-"]


def test_server_that_ignores_the_range_starts_over(server: _Server) -> None:
    url = release(server)
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(b"x" * 900)
    server.ranges = False
    assert_same(fetch(url))


def test_transfer_that_never_gets_on_ends_and_keeps_the_part(server: _Server) -> None:
    url = release(server)
    server.cut_after = [500] + [0] * 9
    message = refused("official", official_url=url)
    assert url in message
    assert "500 bytes" in message
    assert str(cached(url).parent) in message
    assert not cached(url).exists()
    assert part_of(url).read_bytes() == server.body[:500]
    assert len(server.requests) == 3


def test_complete_part_is_verified_and_used(server: _Server) -> None:
    url = release(server)
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(server.body)
    assert_same(fetch(url))
    assert server.requests == [f"bytes={len(server.body)}-"]


def test_part_longer_than_the_file_starts_over(server: _Server) -> None:
    url = release(server)
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(server.body + b"more")
    assert_same(fetch(url))


def test_wrong_content_is_refused_and_kept(server: _Server) -> None:
    url = release(server)
    server.body = server.body[:-1] + b"!"
    for _ in range(2):
        message = refused("official", official_url=url)
        assert "not the published file" in message
        assert str(part_of(url)) in message
    assert not cached(url).exists()
    assert part_of(url).read_bytes() == server.body


def test_cached_file_is_verified_at_each_load(server: _Server) -> None:
    url = release(server)
    fetch(url)
    damaged = server.body[:-1] + b"!"
    cached(url).write_bytes(damaged)
    assert "not the published file" in refused("official", official_url=url)
    assert cached(url).read_bytes() == damaged


@pytest.mark.parametrize("status", [404, 503])
def test_server_error_names_url_and_folder(server: _Server, status: int) -> None:
    url, server.status = release(server), status
    message = refused("official", official_url=url)
    assert f"HTTP {status}" in message
    assert url in message
    assert str(cached(url).parent) in message
    assert len(server.requests) == 1


def test_no_network_names_url_and_folder(server: _Server) -> None:
    url = release(server)
    server.shutdown()
    server.server_close()
    message = refused("official", official_url=url)
    assert url in message
    assert f"put it into {cached(url).parent}" in message


def test_file_put_into_the_folder_by_hand_is_taken(server: _Server) -> None:
    url = release(server)
    cached(url).parent.mkdir(parents=True)
    cached(url).write_bytes(server.body)
    assert_same(fetch(url))
    assert server.requests == []


def test_second_process_is_told_to_wait(server: _Server) -> None:
    url = release(server)
    part_of(url).parent.mkdir(parents=True)
    with checkpoint_official._locked(part_of(url)):
        assert "another process" in refused("official", official_url=url)


def test_cache_that_cannot_be_made(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KEEPRT_CACHE", str(tmp_path / "file"))
    assert "KEEPRT_CACHE" in refused("official", official_url=release(server))


def test_name_without_a_hash_is_refused(server: _Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/KEEP.pth"
    assert "SHA-256 prefix" in refused("official", official_url=url)
    assert server.requests == []
