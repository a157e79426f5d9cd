"""Small pictures on the driver in host memory: the kernel's, near the host's, from any thread."""

from __future__ import annotations

import gc
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine.devices.cuda.guest import CardLostError
from keeprt.engine.devices.cuda.shrinking import CardShrinker
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.faces.centerface import CenterFace
from keeprt.engine.media import SourceFrame, open_source
from keeprt.engine.media.hardware import planes_on_card
from keeprt.engine.pipeline import RestoreOptions, restore_video
from keeprt.engine.pipeline.native import yuv_format
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.small import SmallPictures
from keeprt.engine.pipeline.whole_frames import native_planes, whole_frame_format
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.shrink import shrink
from tests.cuda_driver.hardware_frames import hardware_frame
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.engine.pipeline_clips import one_face, write_clip
from tests.kernels.frames import random_planes

pytestmark = ON_DRIVER

ILLEGAL_ADDRESS, LAUNCH = 700, "cuLaunchKernelEx"
ON_CARD = RestoreOptions(card=0, detect_side=105)


def frames_of(folder: Path, pixel_format: str, count: int = 3, **how: Any) -> list[SourceFrame]:
    pictures = one_face(count, width=420, height=300, side=220)
    source = write_clip(folder / "in.mkv", pictures, pixel_format, **how)
    with open_source(source) as video:
        return list(video)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le"])
@pytest.mark.parametrize("rotation", [0, 90])
def test_the_card_makes_the_kernels_picture_which_is_near_the_host_s(
    card: Card, tmp_path: Path, pixel_format: str, rotation: int
) -> None:
    frames = frames_of(tmp_path, pixel_format, rotation_ccw=rotation)
    small, host = SmallPictures(frames[0].info, ON_CARD), Pictures()
    for frame in frames:
        made, format = small.of(frame), whole_frame_format(frame.info)
        assert format is not None
        size = made.shape[:2] if rotation else made.shape[1::-1]
        twin = shrink(native_planes(frame, format), format, *size)
        np.testing.assert_array_equal(made, frame.info.orientation.upright(twin))
        there = host.small(frame, yuv_format(frame), 105)
        assert made.shape == there.shape and np.abs(made.astype(int) - there).mean() < 1.0
    assert card.count(LAUNCH) == len(frames)


def test_faces_are_found_where_the_host_finds_them(card: Card, tmp_path: Path) -> None:
    """The landmarks differ by what two ways of rounding a small picture make of them."""
    source = write_clip(tmp_path / "in.mp4", one_face(4, width=1280, height=720, side=500))
    found = {}
    for name, number in (("host", None), ("card", 0)):
        options = RestoreOptions(
            card=number, detector=CenterFace(), landmarks=tmp_path / f"{name}.jsonl"
        )
        restore_video(source, tmp_path / f"{name}.mp4", None, options)
        found[name] = (tmp_path / f"{name}.jsonl").read_text("utf-8")
    assert card.count(LAUNCH) == 4
    assert found["card"].count("\n") == found["host"].count("\n")
    ours, theirs = (np.array(numbers(found[name])) for name in ("card", "host"))
    assert ours.shape == theirs.shape and ours.size >= 4 * 10 and np.abs(ours - theirs).max() < 3


def numbers(text: str) -> list[float]:
    """Landmarks of all faces of a landmark file, in pixels."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [
        coordinate
        for line in lines
        for face in line.get("faces") or ()
        for point in face["landmarks"]
        for coordinate in point
    ]


def test_what_is_no_smaller_and_what_is_no_whole_frame_is_made_on_the_host(
    card: Card, tmp_path: Path
) -> None:
    (frame,) = frames_of(tmp_path, "yuv420p", 1)
    as_it_is = SmallPictures(frame.info, RestoreOptions(card=0, detect_side=420))
    assert as_it_is.of(frame).shape == (300, 420, 3)
    (deep,) = frames_of(tmp_path, "yuv444p", 1)
    unknown = SmallPictures(deep.info, ON_CARD)
    assert unknown.of(deep).shape == (75, 105, 3)
    assert card.count(LAUNCH) == 0


def test_a_frame_of_other_colours_is_made_on_the_host(card: Card, tmp_path: Path) -> None:
    frames = frames_of(tmp_path, "yuv420p", 2)
    small = SmallPictures(frames[0].info, ON_CARD)
    small.of(frames[0])
    frames[1].native.color_range = 2
    expected = Pictures().small(frames[1], yuv_format(frames[1]), 105)
    np.testing.assert_array_equal(small.of(frames[1]), expected)
    assert card.count(LAUNCH) == 1


@pytest.mark.parametrize("pixel_format", ["nv12", "p010le"])
def test_a_decoded_frame_is_read_on_its_card(card: Card, tmp_path: Path, pixel_format: str) -> None:
    """FFmpeg's hardware frames, which the decoder's stream is still filling."""
    (frame,) = frames_of(tmp_path, "yuv420p", 1)
    native = frame.native.reformat(format=pixel_format)
    info = replace(frame.info, pixel_format=pixel_format)
    there = hardware_frame(native, gap=64, busy_s=0.05)
    on_card = SourceFrame(there, 0, 0.0, info, frame.converter)
    on_host = SourceFrame(native, 0, 0.0, info, frame.converter)
    small, copies = SmallPictures(info, ON_CARD), card.count("cuMemcpy2DAsync")
    np.testing.assert_array_equal(small.of(on_card), small.of(on_host))
    assert card.count("cuMemcpy2DAsync") == copies + 2 and "native" not in vars(on_card)
    assert card.count(LAUNCH) == 2


def test_a_frame_of_another_card_is_read_through_the_host(card: Card, tmp_path: Path) -> None:
    (frame,) = frames_of(tmp_path, "yuv420p", 1)
    native = frame.native.reformat(format="nv12")
    info = replace(frame.info, pixel_format="nv12")
    there = SourceFrame(hardware_frame(native, device=1), 0, 0.0, info, frame.converter)
    on_host = SourceFrame(native, 0, 0.0, info, frame.converter)
    small = SmallPictures(info, ON_CARD)
    np.testing.assert_array_equal(small.of(there), small.of(on_host))
    planes = planes_on_card(there.decoded)
    assert planes is not None and planes.card == 1
    with pytest.raises(UsageError, match="decode there"):
        CardShrinker(FrameFormat("nv12", 420, 300), 40, 30).shrink(planes)


def shrinker_of(format: FrameFormat) -> CardShrinker:
    return CardShrinker(format, 40, 30)


FORMAT = FrameFormat("nv12", 160, 120)


def test_a_picture_is_waited_for_in_any_thread(card: Card) -> None:
    shrinker = shrinker_of(FORMAT)
    with card.slowly(), ThreadPoolExecutor(1) as other:
        for seed in range(4):
            planes = random_planes(FORMAT, seed)
            made = other.submit(shrinker.shrink, planes).result()
            np.testing.assert_array_equal(made, shrink(planes, FORMAT, 40, 30))
    shrinker.close()


def test_the_caller_s_card_stays_current_and_two_cards_do_not_meet(card: Card) -> None:
    from cuda.bindings import driver

    first, second = shrinker_of(FORMAT), CardShrinker(FORMAT, 40, 30, device_id=1)
    _, before = driver.cuCtxGetCurrent()
    for seed in range(3):
        planes = random_planes(FORMAT, seed)
        np.testing.assert_array_equal(first.shrink(planes), second.shrink(planes))
    _, after = driver.cuCtxGetCurrent()
    assert int(before) == int(after)
    first.close()
    second.close()


def test_a_picture_is_the_caller_s_own(card: Card) -> None:
    shrinker = shrinker_of(FORMAT)
    first = shrinker.shrink(random_planes(FORMAT, 1))
    kept = first.copy()
    shrinker.shrink(random_planes(FORMAT, 2))
    np.testing.assert_array_equal(first, kept)
    shrinker.close()


def test_nothing_is_taken_per_picture_and_all_is_given_back(card: Card) -> None:
    shrinker_of(FORMAT).close()
    gc.collect()  # what other tests have left
    before = card.live_bytes
    shrinker = shrinker_of(FORMAT)
    taken, held = card.allocations, card.live_bytes
    for seed in range(5):
        shrinker.shrink(random_planes(FORMAT, seed))
    assert (card.allocations, card.live_bytes) == (taken, held) and held > before
    ended = ("cuStreamDestroy", "cuEventDestroy")
    counted = [card.count(call) for call in ended]
    with card.slowly():
        shrinker.close()
    assert card.live_bytes == before, "it is all there for the next video at once"
    assert [card.count(call) for call in ended] == [count + 1 for count in counted]
    shrinker.close()
    with pytest.raises(UsageError, match="closed"):
        shrinker.shrink(random_planes(FORMAT))


def test_a_video_that_ends_by_an_error_keeps_no_memory_of_the_card(
    card: Card, tmp_path: Path
) -> None:
    shrinker_of(FORMAT).close()
    gc.collect()  # what other tests have left
    before = card.live_bytes
    source = write_clip(tmp_path / "in.mp4", one_face(4, width=1280, height=720, side=500))
    options = RestoreOptions(card=0, detector=CenterFace())

    def no_more() -> None:
        assert card.live_bytes > before
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as kept:
        restore_video(source, tmp_path / "out.mp4", None, options, no_more)
    assert card.live_bytes == before and kept.tb is not None
    assert [file.name for file in tmp_path.iterdir()] == ["in.mp4"]


def test_a_lost_card_is_told_as_one(card: Card) -> None:
    shrinker = shrinker_of(FORMAT)
    card.fail_at(1, ILLEGAL_ADDRESS)
    with pytest.raises(CardLostError, match="restart the process"):
        shrinker.shrink(random_planes(FORMAT))
    shrinker.close()


def test_a_context_that_is_gone_is_no_second_error(card: Card) -> None:
    from cuda.bindings import driver

    shrinker = shrinker_of(FORMAT)
    gone = driver.CUresult.CUDA_ERROR_CONTEXT_IS_DESTROYED
    push, shrinker._visit._push = shrinker._visit._push, lambda context: (gone,)
    with pytest.raises(BackendError, match="GPU 0 cannot be used"):
        shrinker.shrink(random_planes(FORMAT))
    shrinker.close()
    shrinker._visit._push = push  # what it held is given back when it is dropped
