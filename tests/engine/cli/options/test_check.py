"""What the options layer refuses before any work, as a user meets it: one line that names it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.media.clips import Clip, make_clip

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clip and a folder of two images, where the command runs."""
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "in.mp4", Clip())
    (tmp_path / "images").mkdir()
    for index in range(2):
        make_png(tmp_path / "images" / f"{index}.png")
    return tmp_path


def make_png(path: Path) -> None:
    import cv2
    import numpy as np

    cv2.imwrite(str(path), np.full((64, 64, 3), 99, np.uint8))


def refused(result: tuple[int, str, str], *said: str) -> None:
    code, printed, errors = result
    assert code == 2 and not printed, errors
    lines = errors.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), errors
    for text in said:
        assert text in lines[0], lines[0]


RESTORE = ("restore", "in.mp4", "out.mp4")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--threads 0", "--threads is 0: give a whole number from 1"),
        ("--threads -3", "--threads is -3"),
        ("--crf 999", "--crf is 999, for libx264: give a number from 0 to 51"),
        ("--crf -5", "--crf is -5, for libx264"),
        ("--crf 64 --codec vp9", "for libvpx-vp9: give a number from 0 to 63"),
        ("--crf nan", "--crf is nan"),
        ("--window 1", "--window is 1: give a whole number from 2 on"),
        ("--mode clip --chunk 0", "--chunk is 0"),
        ("--mode film", "--mode is 'film': give stream or clip"),
        ("--backend tensorflow", "--backend is 'tensorflow'"),
        ("--provider abacus", "--provider is 'abacus'"),
        ("--device -1", "--device is -1"),
        ("--strength 2", "--strength is 2: give a number from 0 to 1"),
        ("--scale 9", "--scale is 9"),
        ("--detect-every 0", "--detect-every is 0"),
        ("--detect-side 5", "--detect-side is 5"),
        ("--lookahead -1", "--lookahead is -1"),
        ("--min-size -1", "--min-size is -1"),
        ("--start -1", "--start is -1"),
        ("--duration 0", "--duration is 0: give a number above 0"),
        ("--bitrate 0", "--bitrate is 0"),
    ],
)
def test_a_value_outside_its_range_is_named(
    keeprt: Command, here: Path, options: str, said: str
) -> None:
    refused(keeprt(*RESTORE, *options.split()), said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("bench --rounds 0", "--rounds is 0"),
        ("bench --frames 0", "--frames is 0"),
        ("bench --mode film", "--mode is 'film': give stream, clip or both"),
        ("verify bundle --samples 1", "--samples is 1"),
        ("verify bundle --threads 0", "--threads is 0"),
        ("evaluate --seed -1", "--seed is -1"),
        ("evaluate --frames 1", "--frames is 1"),
        ("evaluate --downscale 0", "--downscale is 0"),
        ("evaluate --column -1", "--column is -1"),
        ("demo --frames 1", "--frames is 1"),
        ("demo --reference-frames -1", "--reference-frames is -1"),
        ("export --precision int3", "--precision is 'int3'"),
        ("build --flavor vanilla", "--flavor is 'vanilla'"),
        ("doctor --backend magic", "--backend is 'magic'"),
    ],
)
def test_other_commands_check_ranges_too(
    keeprt: Command, here: Path, arguments: str, said: str
) -> None:
    refused(keeprt(*arguments.split()), said)


@pytest.mark.parametrize(
    ("arguments", "option", "state"),
    [
        ("in.mp4 out.mp4 --chunk 4", "--chunk", "in stream mode"),
        ("in.mp4 out.mp4 --aligned --carry-state", "--carry-state", "in stream mode"),
        ("in.mp4 out.mp4 --mode clip --carry-state", "--carry-state", "without --aligned"),
        ("in.mp4 out.mp4 --mode clip --window 4", "--window", "in clip mode"),
        ("in.mp4 out --codec libx264", "--codec", "folder of images"),
        ("in.mp4 out --crf 20", "--crf", "folder of images"),
        ("in.mp4 out --preset fast", "--preset", "folder of images"),
        ("in.mp4 out.mp4 --bypass --backend rtx", "--backend", "with --bypass"),
        ("in.mp4 out.mp4 --bypass --strength 0.5", "--strength", "with --bypass"),
        ("in.mp4 out.mp4 --backend rtx --provider cuda", "--provider", "another backend"),
        ("in.mp4 out.mp4 --device 0", "--device", "on the CPU"),
        ("in.mp4 out.mp4 --aligned --faces all", "--faces", "with --aligned"),
        ("in.mp4 out.mp4 --aligned --scale 2", "--scale", "with --aligned"),
        ("in.mp4 out.mp4 --upscaler x.onnx", "--upscaler", "without --scale"),
        ("in.mp4 out.mp4 --crf 20 --bitrate 9000", "--crf", "with --bitrate"),
        ("in.mp4 out.webm --preset fast", "--preset", "for another encoder"),
        ("images out.mp4 --hwaccel cuda", "--hwaccel", "folder of images"),
    ],
)
def test_an_option_without_effect_is_named(
    keeprt: Command, here: Path, arguments: str, option: str, state: str
) -> None:
    """Given with its default's value too: whoever types it expects something of it."""
    refused(
        keeprt("restore", *arguments.split()), f"{option} has no effect ", state, "leave it out"
    )


@pytest.mark.parametrize(
    ("arguments", "option", "state"),
    [
        ("bench --chunk 4", "--chunk", "in stream mode"),
        ("bench --mode clip --faces 2", "--faces", "in clip mode"),
        ("bench --mode clip --frames 2", "--frames", "in clip mode"),
        ("bench --predict L4 --rounds 2", "--rounds", "with --predict"),
        ("bench --predict L4 --backend rtx", "--backend", "with --predict"),
        ("bench --rivals none --weights synthetic:1", "--weights", "without a rival"),
        ("bench --device 0", "--device", "on the CPU"),
        ("bench --layers out", "--layers", "without plans"),
        ("verify bundle --device 1", "--device", "on the CPU"),
        ("evaluate bundle --device 1", "--device", "on the CPU"),
        ("bench --backend rtx --provider cuda", "--provider", "another backend"),
        ("verify --from r.json --window 4", "--window", "with --from"),
        ("verify --from r.json --bisect", "--bisect", "with --from"),
        ("verify bundle --aligned", "--aligned", "without --clip"),
        ("verify bundle --detector x.onnx", "--detector", "without --clip"),
        ("evaluate --window 4", "--window", "without the method stream"),
        ("evaluate bundle --methods stream --chunk 4", "--chunk", "without the method clip"),
        ("evaluate --threads 2", "--threads", "where no network is run"),
        ("evaluate --from old --frames 4", "--frames", "with --from"),
    ],
)
def test_other_commands_refuse_them_too(
    keeprt: Command, here: Path, arguments: str, option: str, state: str
) -> None:
    refused(keeprt(*arguments.split()), f"{option} has no effect ", state)


def test_landmarks_that_are_there_need_no_detector(keeprt: Command, here: Path) -> None:
    (here / "faces.jsonl").write_text("")
    result = keeprt(*RESTORE, "--bypass", "--landmarks", "faces.jsonl", "--detect-side", 640)
    refused(result, "--detect-side has no effect where the --landmarks file is there")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--landmarks out.mp4", ("OUT", "--landmarks")),
        ("--landmarks in.mp4", ("IN", "--landmarks")),
        ("--save-crops images --upscaler images --scale 2", ("--save-crops", "--upscaler")),
        ("--json out.mp4", ("OUT", "--json")),
        ("--json link.mp4", ("OUT", "--json")),
        ("--json ./images/../out.mp4", ("OUT", "--json")),
    ],
)
def test_one_file_in_two_roles_is_refused(
    keeprt: Command, here: Path, options: str, said: tuple[str, ...]
) -> None:
    (here / "link.mp4").symlink_to("out.mp4")
    before = (here / "in.mp4").read_bytes()
    refused(keeprt(*RESTORE, "--bypass", *options.split()), "name the same file", *said)
    assert (here / "in.mp4").read_bytes() == before


def test_an_input_under_another_name_is_no_output(keeprt: Command, here: Path) -> None:
    os.link(here / "in.mp4", here / "hard.mp4")
    (here / "soft.mp4").symlink_to("in.mp4")
    for out in ("in.mp4", "hard.mp4", "soft.mp4"):
        result = keeprt("restore", "in.mp4", out, "--bypass", "--overwrite")
        refused(result, "name the same file")
    result = keeprt(
        "restore", "images", "o.mp4", "--bypass", "--overwrite", "--json", "images/0.png"
    )
    refused(result, "--json", "is a file of IN")


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "in.mp4", "missing/out.mp4", "--bypass"),
        (*RESTORE, "--bypass", "--json", "missing/s.json"),
        (*RESTORE, "--bypass", "--json", "images"),
        (*RESTORE, "--bypass", "--save-crops", "images/0.png"),
        ("verify", "bundle", "--report", "missing/r.html"),
        ("verify", "bundle", "--junit", "in.mp4/r.xml"),
        ("bench", "--report", "missing/r.html"),
        ("bench", "--predict", "L4", "--json", "missing/r.json"),
        ("evaluate", "--report", "missing/r.html"),
        ("export", "--out", "in.mp4", "--weights", "synthetic:1"),
        ("doctor", "--json", "missing/d.json"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(
    keeprt: Command, here: Path, arguments: tuple[str, ...]
) -> None:
    before = sorted(here.rglob("*"))
    refused(keeprt(*arguments), "cannot write")
    assert sorted(here.rglob("*")) == before


def test_links_in_a_circle_lead_nowhere(keeprt: Command, here: Path) -> None:
    (here / "loop.mp4").symlink_to("loop.mp4")
    refused(keeprt("restore", "in.mp4", "loop.mp4", "--bypass"), "OUT", "leads back to itself")
    refused(keeprt("doctor", "--json", "loop.mp4"), "--json", "leads back to itself")
    refused(keeprt("restore", "in.mp4", "loop.mp4/o.mp4", "--bypass"), "leads back to itself")
    refused(keeprt("restore", "loop.mp4", "o.mp4", "--bypass"), "no such file")


def test_nothing_is_replaced_without_leave(keeprt: Command, here: Path) -> None:
    (here / "out.mp4").write_text("mine")
    refused(keeprt(*RESTORE, "--bypass"), "OUT out.mp4 exists already: --overwrite replaces it")
    refused(keeprt("doctor", "--json", "out.mp4"), "exists already")
    refused(keeprt("restore", "in.mp4", "images", "--bypass"), "not empty: --overwrite")
    assert (here / "out.mp4").read_text() == "mine"
    code, printed, errors = keeprt(*RESTORE, "--bypass", "--overwrite")
    assert code == 0, errors
    assert "wrote out.mp4: 10 frames" in printed or "frames" in printed


def test_frames_of_an_older_run_do_not_stay(keeprt: Command, here: Path) -> None:
    old = here / "out"
    old.mkdir()
    for name in ("frame_000000.png", "frame_000099.png", "portrait.png", "notes.txt"):
        (old / name).write_text("old")
    code, _, errors = keeprt("restore", "in.mp4", "out", "--bypass", "--overwrite")
    assert code == 0, errors
    names = {path.name for path in old.iterdir()}
    assert "frame_000099.png" not in names and {"portrait.png", "notes.txt"} <= names
    assert (old / "frame_000000.png").read_bytes()[:4] == b"\x89PNG"


def test_an_address_is_no_output_and_shows_no_password(keeprt: Command, here: Path) -> None:
    result = keeprt("restore", "in.mp4", "http://user:s3cret@127.0.0.1:9/out.mkv", "--bypass")
    refused(result, "it is an address")
    assert "s3cret" not in result[2]


def test_one_standard_output_holds_one(keeprt: Command, here: Path) -> None:
    options = ("--bypass", "--format", "matroska", "--json", "-")
    refused(keeprt("restore", "in.mp4", "-", *options), "OUT and --json are both -")
