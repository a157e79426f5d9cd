"""Which files an archive holds, what each is called afterwards, and what a manifest may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeprt.engine.archive.jobs import find_archive, output_name
from keeprt.engine.archive.recipe import restore_options
from keeprt.engine.archive.store import open_store
from keeprt.engine.errors import MediaError, UsageError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_videos_are_found_at_any_depth_and_other_files_are_named(tmp_path: Path) -> None:
    odd = "b/sub folder/50% [final]: é.MOV"
    touch(tmp_path / "in", "a.mp4", odd, "c.avi", "notes.txt", ".hidden.mp4", ".git/d.mp4")
    found = find_archive(str(tmp_path / "in"), str(tmp_path / "out"))
    assert [(job.source, job.output) for job in found.jobs] == [
        ("a.mp4", "a.mp4"),
        (odd, odd),
        ("c.avi", "c.avi.mkv"),
    ]
    assert found.skipped == ["notes.txt"]


def test_a_container_that_is_not_written_becomes_matroska_under_the_whole_name() -> None:
    assert output_name("a/b.mpg") == "a/b.mpg.mkv"
    assert output_name("a/B.MP4") == "a/B.MP4"


@pytest.mark.parametrize("names", [("a.avi", "a.avi.mkv"), ("A.mp4", "a.mp4")])
def test_two_files_for_one_output_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    touch(tmp_path / "in", *names)
    with pytest.raises(UsageError, match="would both be written to"):
        find_archive(str(tmp_path / "in"), str(tmp_path / "out"))


@pytest.mark.parametrize("out", ["in", "in/restored"])
def test_outputs_among_the_sources_are_refused(out: str, tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.mp4")
    with pytest.raises(UsageError, match="move OUT away"):
        find_archive(str(tmp_path / "in"), str(tmp_path / out))


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "in", "notes.txt")
    with pytest.raises(UsageError, match=r"holds no video \(1 other files\)"):
        find_archive(str(tmp_path / "in"), str(tmp_path / "out"))


def test_one_video_and_links_in_a_circle_are_no_folder(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.mp4")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"a\.mp4 is a file: give its folder, or use"):
        find_archive(str(tmp_path / "in" / "a.mp4"), str(tmp_path / "out"))
    with pytest.raises(UsageError, match="loop holds no video"):
        find_archive(str(tmp_path / "loop"), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "\ufeffsource,output,faces,crf\na.mp4,x/b.mkv,largest,20\nb.mp4,,,\n"),
        (
            "list.jsonl",
            '{"source": "a.mp4", "output": "x/b.mkv", "faces": "largest", "crf": 20}\n\n'
            '{"source": "b.mp4"}\n',
        ),
    ],
)
def test_a_manifest_gives_files_options_of_their_own(name: str, text: str, tmp_path: Path) -> None:
    (touch(tmp_path, "a.mp4", "b.mp4") / name).write_text(text, encoding="utf-8")
    first, second = find_archive(str(tmp_path / name), str(tmp_path / "out")).jobs
    assert (first.source, first.output) == ("a.mp4", "x/b.mkv")
    options = restore_options(first.options)
    assert (options.faces, options.encoding.crf) == ("largest", 20.0)
    assert (second.source, second.output, second.options) == ("b.mp4", "b.mp4", {})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "source,colour\na.mp4,red\n", "entry 1 .a.mp4.: unknown option 'colour'"),
        ("l.csv", "source,strength\na.mp4,2\n", "entry 1 .a.mp4.: strength is 2"),
        ("l.csv", "source,crf\na.mp4,good\n", "'crf' cannot be 'good'"),
        ("l.csv", "file\na.mp4\n", "entry 1: it names no 'source'"),
        ("l.jsonl", "{", "is no manifest"),
        ("l.jsonl", "[1]\n", "is no manifest"),
        ("l.jsonl", '{"source": 3}\n', "names no 'source'"),
    ],
)
def test_a_manifest_that_cannot_be_meant(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        find_archive(str(tmp_path / name), str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["../a.mp4", "a/../../b.mp4", "/etc/passwd"])
def test_no_name_leaves_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leaves its folder"):
        open_store(tmp_path).version(name)


def test_credentials_of_a_url_are_never_said() -> None:
    with pytest.raises((UsageError, MediaError)) as caught:
        list(open_store("ftp://user:secret@127.0.0.1:9/films").names())
    assert "secret" not in str(caught.value)
