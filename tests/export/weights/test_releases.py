"""Weights from a release on a real local server, and the table of releases."""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from keeprt.engine.errors import CheckpointError
from keeprt.export.weights import official as checkpoint_official
from keeprt.export.weights import releases as known_releases
from keeprt.export.weights.load import (
    describe_source,
    load_checkpoint,
)
from keeprt.export.weights.releases import Release, release_named, releases
from tests.export.weights.checkpoints import MANIFEST, assert_same, refused, saved
from tests.export.weights.release_server import ReleaseServer, serving


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    monkeypatch.setenv("KEEPRT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these URLs the sources of "official"."""

    def play(*urls: str) -> None:
        found = {"official": Release(urls[0].rpartition("/")[2], urls)}
        monkeypatch.setattr(known_releases, "releases", lambda: found)

    return play


def address(server: ReleaseServer) -> str:
    """The URL under a name that holds the content's hash, as the authors' does."""
    prefix = hashlib.sha256(server.body).hexdigest()[:8]
    return f"http://127.0.0.1:{server.server_port}/v0/KEEP-{prefix}.pth"


@pytest.fixture
def url(server: ReleaseServer, publish: Callable[..., None]) -> str:
    """The one source of "official"."""
    publish(address(server))
    return address(server)


def fetch(**options: object) -> dict[str, torch.Tensor]:
    return load_checkpoint("official", manifest=MANIFEST, **options)  # type: ignore[arg-type]


def cached(url: str) -> Path:
    return checkpoint_official.weights_folder() / url.rpartition("/")[2]


def part_of(url: str) -> Path:
    return cached(url).with_name(cached(url).name + ".part")


def test_release_is_fetched_once(server: ReleaseServer, url: str) -> None:
    seen = list[tuple[int, int | None]]()
    assert_same(fetch(progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (len(server.body), len(server.body))
    assert_same(fetch())
    assert server.requests == [None]
    assert cached(url).read_bytes() == server.body
    assert not part_of(url).exists()


def test_licence_is_shown_once_for_a_cache(server: ReleaseServer, url: str) -> None:
    shown: list[str] = []
    fetch()
    fetch(notify=shown.append)
    fetch(notify=shown.append)
    assert len(shown) == 1
    assert "non-commercial" in shown[0]
    assert "S-Lab License 1.0" in shown[0]


def test_interrupted_transfer_goes_on_by_itself(server: ReleaseServer, url: str) -> None:
    server.cut_after = [700, 300]
    assert_same(fetch())
    assert server.requests == [None, "bytes=700-", "bytes=1000-"]


def test_later_run_goes_on_from_the_part(server: ReleaseServer, url: str) -> None:
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(server.body[:900])
    server.redirect = True
    assert_same(fetch())
    assert server.requests == ["bytes=900-"]


def test_server_that_ignores_the_range_starts_over(server: ReleaseServer, url: str) -> None:
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(b"x" * 900)
    server.ranges = False
    assert_same(fetch())


def test_transfer_that_never_gets_on_ends_and_keeps_the_part(
    server: ReleaseServer, url: str
) -> None:
    server.cut_after = [500] + [0] * 9
    message = refused("official")
    assert url in message
    assert "500 bytes" in message
    assert str(cached(url).parent) in message
    assert not cached(url).exists()
    assert part_of(url).read_bytes() == server.body[:500]
    assert len(server.requests) == 3


def test_complete_part_is_verified_and_used(server: ReleaseServer, url: str) -> None:
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(server.body)
    assert_same(fetch())
    assert server.requests == [f"bytes={len(server.body)}-"]


def test_part_longer_than_the_file_starts_over(server: ReleaseServer, url: str) -> None:
    part_of(url).parent.mkdir(parents=True)
    part_of(url).write_bytes(server.body + b"more")
    assert_same(fetch())


def test_wrong_content_is_refused_and_kept(server: ReleaseServer, url: str) -> None:
    server.body = server.body[:-1] + b"!"
    for _ in range(2):
        message = refused("official")
        assert "not the published file" in message
        assert str(part_of(url)) in message
    assert not cached(url).exists()
    assert part_of(url).read_bytes() == server.body


def test_cached_file_is_verified_at_each_load(server: ReleaseServer, url: str) -> None:
    fetch()
    damaged = server.body[:-1] + b"!"
    cached(url).write_bytes(damaged)
    assert "not the published file" in refused("official")
    assert cached(url).read_bytes() == damaged


@pytest.mark.parametrize("status", [404, 503])
def test_server_error_names_url_and_folder(server: ReleaseServer, url: str, status: int) -> None:
    server.status = status
    message = refused("official")
    assert f"HTTP {status}" in message
    assert url in message
    assert str(cached(url).parent) in message
    assert len(server.requests) == 1


def test_no_network_names_url_hash_and_folder(server: ReleaseServer, url: str) -> None:
    server.shutdown()
    server.server_close()
    message = refused("official")
    assert url in message
    prefix = hashlib.sha256(server.body).hexdigest()[:8]
    assert f"SHA-256 begins with {prefix}" in message
    assert f"put it into {cached(url).parent} as {cached(url).name}" in message


def test_file_put_into_the_folder_by_hand_is_taken(server: ReleaseServer, url: str) -> None:
    cached(url).parent.mkdir(parents=True)
    cached(url).write_bytes(server.body)
    assert_same(fetch())
    assert server.requests == []


def test_second_process_is_told_to_wait(server: ReleaseServer, url: str) -> None:
    part_of(url).parent.mkdir(parents=True)
    with checkpoint_official._alone(cached(url).with_name(cached(url).name + ".lock")):
        assert "another process" in refused("official")


def test_cache_that_cannot_be_made(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KEEPRT_CACHE", str(tmp_path / "file"))
    assert "KEEPRT_CACHE" in refused("official")


def test_name_without_a_hash_is_refused(
    server: ReleaseServer, publish: Callable[..., None]
) -> None:
    publish(f"http://127.0.0.1:{server.server_port}/KEEP.pth")
    assert "SHA-256 prefix" in refused("official")
    assert server.requests == []


def test_the_second_source_goes_on_where_the_first_stopped(
    server: ReleaseServer, publish: Callable[..., None]
) -> None:
    server.cut_after = [700] + [0] * 9
    with serving() as second:
        publish(address(server), address(second))
        assert_same(fetch())
        assert second.requests == ["bytes=700-"]
        assert cached(address(server)).read_bytes() == server.body


def test_where_no_source_answers_both_are_named(
    server: ReleaseServer, publish: Callable[..., None]
) -> None:
    server.status = 404
    with serving() as second:
        second.status = 503
        publish(address(server), address(second))
        message = refused("official")
        assert f"{address(server)} (HTTP 404" in message
        assert f"{address(second)} (HTTP 503" in message


def test_a_wrong_file_of_the_second_source_is_refused(
    server: ReleaseServer, publish: Callable[..., None]
) -> None:
    with serving() as second:
        publish(address(server), address(second))
        server.status, second.body = 404, second.body[:-1] + b"!"
        assert "not the published file" in refused("official")
        assert not cached(address(server)).exists()


def test_each_release_has_two_sources_and_a_hash_in_its_name() -> None:
    assert list(releases()) == ["official", "official-0.1", "official-asian"]
    for release in releases().values():
        assert re.search(r"-[0-9a-f]{8}\.pth$", release.file)
        first, second = release.sources
        assert first.startswith("https://github.com/jnjaby/KEEP/releases/download/")
        assert second.startswith("https://huggingface.co/rcfeng/KEEP_models/")
        assert first.endswith("/" + release.file) and second.endswith("/" + release.file)


def test_a_bundle_of_an_older_release_finds_its_weights_again() -> None:
    for name, release in releases().items():
        assert release_named(describe_source(name)) == release_named(name) == release
    assert release_named("official KEEP-00000000") is None


def test_an_unknown_release_is_told_with_the_known_ones() -> None:
    assert "official, official-0.1, official-asian or synthetic:SEED" in refused("official-2")


def test_both_namings_of_tensors_are_one(tmp_path: Path) -> None:
    manifest = [("cross_fuse.16.norm1.weight", (4,)), ("fuse_convs_dict.16.scale.0.bias", (3,))]
    tensors = load_checkpoint("synthetic:5", manifest=manifest)
    newer = {
        f"module.{name}".replace("cross_fuse", "cfa").replace("fuse_convs_dict", "cft"): value
        for name, value in tensors.items()
    }
    assert {name.split(".")[1] for name in newer} == {"cfa", "cft"}
    found = load_checkpoint(saved(tmp_path, newer), manifest=manifest)
    assert list(found) == [name for name, _ in manifest]
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    both = saved(tmp_path, newer | tensors)
    with pytest.raises(CheckpointError, match="twice"):
        load_checkpoint(both, manifest=manifest)
