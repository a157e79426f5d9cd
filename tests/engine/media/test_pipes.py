"""`-` is the standard input and output, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.engine.media.clips import Clip, make_clip
from tests.engine.media.test_reading import remuxed, seen

COUNT = 30
_COPY = """
import sys
from keeprt.engine.errors import KeeprtError
from keeprt.engine.media import open_sink, open_source
try:
    source, out, format_name = sys.argv[1:]
    with open_source(source) as video, open_sink(out, video, format_name=format_name) as sink:
        for frame in video:
            sink.write(frame)
except KeeprtError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipes")
    return make_clip(folder / "clip.mp4", Clip(pts=tuple(range(COUNT)), audio=True))


def piped(given: bytes, format_name: str, source: str = "-") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", _COPY, source, "-", format_name]
    return subprocess.run(command, input=given, capture_output=True, timeout=120)


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
@pytest.mark.parametrize("format_name", ["matroska", "mpegts"])
def test_stdin_to_stdout(clip: Path, tmp_path: Path, suffix: str, format_name: str) -> None:
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    source = remuxed(clip, tmp_path / f"in{suffix}", ("video", "audio"), **options)
    done = piped(source.read_bytes(), format_name)
    assert done.returncode == 0, done.stderr.decode()
    out = tmp_path / "out"
    out.write_bytes(done.stdout)
    assert len(seen(out)) == COUNT
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        assert len(list(container.decode(audio=0))) > 40
    assert list(tmp_path.iterdir()) != []


@pytest.mark.parametrize("source", ["/dev/stdin", "/proc/self/fd/0"])
def test_stdin_has_names_in_the_file_system_too(clip: Path, tmp_path: Path, source: str) -> None:
    given, out = remuxed(clip, tmp_path / "in.ts", ("video", "audio")), tmp_path / "out.mkv"
    command = [sys.executable, "-c", _COPY, source, "-", "matroska"]
    with given.open("rb") as feed:
        from_file = subprocess.run(command, stdin=feed, capture_output=True, timeout=120)
    for done in (piped(given.read_bytes(), "matroska", source), from_file):
        assert done.returncode == 0, done.stderr.decode()
        out.write_bytes(done.stdout)
        assert len(seen(out)) == COUNT


@pytest.mark.parametrize(
    ("given", "format_name", "said"),
    [
        (b"", "matroska", "cannot read - as a video"),
        (b"no video" * 1000, "matroska", "cannot read - as a video"),
        (None, "mp4", "a pipe cannot hold mp4"),
    ],
)
def test_what_a_pipe_cannot_do_is_one_line(
    clip: Path, tmp_path: Path, given: bytes | None, format_name: str, said: str
) -> None:
    source = remuxed(clip, tmp_path / "in.ts", ("video", "audio"))
    done = piped(source.read_bytes() if given is None else given, format_name)
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.count(b"\n") == 1 and said in done.stderr.decode()


def test_an_mp4_with_its_index_at_the_end_is_refused_or_read_whole(
    clip: Path, tmp_path: Path
) -> None:
    done = piped(clip.read_bytes(), "matroska")
    if done.returncode == 0:
        (tmp_path / "out.mkv").write_bytes(done.stdout)
        assert len(seen(tmp_path / "out.mkv")) == COUNT
    else:
        assert done.stdout == b"" and done.stderr.count(b"\n") == 1


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_job(clip: Path, tmp_path: Path) -> None:
    """As `keeprt restore - - | head -c 100` does."""
    source = make_clip(tmp_path / "long.mp4", Clip(tuple(range(400)), width=320, height=240))
    given = remuxed(source, tmp_path / "in.ts", ("video",))
    command = [sys.executable, "-c", _COPY, "-", "-", "mpegts"]
    with given.open("rb") as feed:
        job = subprocess.Popen(command, stdin=feed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert job.stdout is not None and job.stdout.read(100)
        job.stdout.close()
        _, said = None, job.stderr.read() if job.stderr is not None else b""
        assert job.wait(60) != 0
    assert b"Traceback" not in said
