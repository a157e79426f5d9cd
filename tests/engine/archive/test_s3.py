"""An archive from S3 to S3: a server of moto's on 127.0.0.1, and s3fs as users have it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.archive.store import open_store
from keeprt.engine.errors import MediaError
from tests.engine.archive.test_run import GOOD, fill
from tests.engine.cli.conftest import keeprt

__all__ = ["keeprt"]
s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs.S3FileSystem()
    s3fs.S3FileSystem.clear_instance_cache()
    moto.stop()


def test_an_archive_goes_from_bucket_to_bucket(
    keeprt: Any, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    s3.mkdir("tapes")
    s3.mkdir("restored")
    s3.put(str(fill(tmp_path / "in")), "tapes/in", recursive=True)
    command = ["archive", "s3://tapes/in", "s3://restored/out", "--bypass", "--preset", "ultrafast"]
    report = tmp_path / "report.json"
    code, printed, said = keeprt(*command, "--json", str(report))
    assert (code, "3 restored, 0 done before, 1 failed" in printed) == (1, True), said
    code, again, said_again = keeprt(*command, "--verify", "deep")
    assert "0 restored, 3 done before, 1 failed" in again
    everything = "".join([printed, said, again, said_again, report.read_text()])
    assert KEY not in everything and SECRET not in everything
    assert {row["source"] for row in json.loads(report.read_text())["result"]["rows"]} == {
        *(GOOD),
        "broken.mp4",
    }
    s3.invalidate_cache()
    left = {name.removeprefix("restored/out/") for name in s3.find("restored")}
    receipts = {".a.mp4.keeprt.json", ".broken.mp4.keeprt.json", ".c.mov.keeprt.json"}
    assert left == {*GOOD, *receipts, "b/.odd [1] 50%.mkv.keeprt.json"}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_replaced_object_is_restored_again(keeprt: Any, s3: Any, tmp_path: Path) -> None:
    s3.mkdir("reels")
    s3.put(str(fill(tmp_path / "in") / "a.mp4"), "reels/a.mp4")
    command = ["archive", "s3://reels", str(tmp_path / "out"), "--bypass"]
    assert keeprt(*command)[0] == 0
    s3.put(str(tmp_path / "in" / "c.mov"), "reels/a.mp4")
    s3.invalidate_cache()
    assert "1 restored" in keeprt(*command)[1]


@pytest.mark.parametrize("url", [f"s3://{KEY}:{SECRET}@tapes/in", "s3://no-such-bucket/in"])
def test_what_cannot_be_read_is_said_without_credentials(s3: Any, url: str) -> None:
    with pytest.raises(MediaError) as caught:
        list(open_store(url).names())
        open_store(url).write("a", b"a")
    assert SECRET not in str(caught.value) and "MDENG" not in str(caught.value)
