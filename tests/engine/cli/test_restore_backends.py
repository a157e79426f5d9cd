"""`keeprt restore` on other backends, and one operation at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.cli.restorers import where_stages_run
from keeprt.engine.devices.cuda import driver as nvidia_driver
from keeprt.engine.errors import BackendError, MediaError
from keeprt.engine.media import hardware, open_source, opening
from keeprt.engine.pipeline import RestoreOptions
from keeprt.engine.pipeline.loading import reason_on_host
from keeprt.engine.pipeline.video import open_input
from keeprt.engine.restorer import Restorer
from keeprt.engine.video_restorer import VideoRestorer
from tests.engine.media.clips import Clip, make_clip
from tests.engine.pipeline_clips import one_face, write_clip

Command = Callable[..., tuple[int, str, str]]


def test_what_the_card_did_and_what_the_host_is_said() -> None:
    said = where_stages_run(None, "auto", False, "")
    assert said == (
        "on the card: the network, finding faces, cutting out, painting; on the host: decoding, "
        "encoding"
    )
    said = where_stages_run("cuda", "hevc_nvenc", False, "the video is enlarged", "no provider")
    assert said == (
        "on the card: the network, decoding, encoding; on the host: finding faces (no provider), "
        "cutting out, painting (the video is enlarged)"
    )
    said = where_stages_run("cuda", "h264_nvenc", True, "crops are saved")
    assert said == "on the card: the network, decoding, encoding; on the host: copies only"


def test_a_chunk_is_cut_out_and_painted_on_the_host(source: Path) -> None:
    with open_source(source) as video:
        reason = reason_on_host(video.info, RestoreOptions(), "clip")
        assert reason_on_host(video.info, RestoreOptions()) == ""
    assert "painting (a chunk is restored at once)" in where_stages_run(None, "auto", False, reason)


def have_driver() -> bool:
    try:
        nvidia_driver.find_driver()
    except BackendError:
        return False
    return True


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "face.mp4", Clip(pts=(0, 1, 2, 3), width=96, height=96))


@pytest.mark.parametrize(
    "wanted",
    [
        ("--backend", "tensorrt"),
        ("--backend", "rtx"),
        ("--hwaccel", "cuda"),
        ("--codec", "h264_nvenc"),
    ],
)
def test_without_a_gpu_one_line_says_so(
    keeprt: Command, tmp_path: Path, source: Path, tiny_bundle: Path, wanted: tuple[str, str]
) -> None:
    if have_driver():
        pytest.skip("this machine has a driver")
    options = ("--aligned", "--bundle", tiny_bundle, *wanted)
    code, printed, said = keeprt("restore", source, tmp_path / "out.mp4", *options)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert (code, printed) == (2, "") and not (tmp_path / "out.mp4").exists()
    assert len(errors) == 1 and errors[0].startswith("error: no NVIDIA driver on this machine")
    assert errors[0].endswith("run `keeprt doctor`")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--backend", "abacus"), "--backend is 'abacus': give onnxruntime, rtx or tensorrt"),
        (("--backend", "rtx", "--mode", "clip"), "'rtx' runs mode 'stream'"),
        (
            ("--backend", "rtx", "--provider", "cuda"),
            "--provider has no effect with another backend",
        ),
        (("--hwaccel", "abacus"), "unknown hwaccel 'abacus'; there is cuda"),
        (("--device", "1"), "--device has no effect on the CPU"),
    ],
)
def test_options_that_do_not_fit_the_backend(
    keeprt: Command,
    tmp_path: Path,
    source: Path,
    tiny_bundle: Path,
    options: tuple[str, ...],
    said: str,
) -> None:
    out = tmp_path / "out.mp4"
    code, _, errors = keeprt("restore", source, out, "--aligned", "--bundle", tiny_bundle, *options)
    assert code == 2 and said in errors and not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_eager_writes_the_same_bytes(
    keeprt: Command, tmp_path: Path, source: Path, tiny_bundle: Path, mode: str
) -> None:
    written = []
    for name, option in (("listed", ()), ("eager", ("--eager",))):
        out = tmp_path / f"{name}.mp4"
        common = ("--aligned", "--bundle", tiny_bundle, "--threads", 1, "--mode", mode)
        code, _, said = keeprt("restore", source, out, *common, *option)
        assert code == 0, said
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_what_a_card_decodes_is_opened_so(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """PyAV's own HWAccel, refusing to fall back; here FFmpeg then finds no driver."""
    if have_driver():
        pytest.skip("this machine has a driver")
    card = nvidia_driver.Card(0, "Test Card", "sm89", 1 << 34)
    monkeypatch.setattr(hardware, "require_card", lambda index: card)
    found = hardware.hardware_decoder("cuda")
    assert found is not None and not found.is_hw_owned
    kept = hardware.hardware_decoder("cuda", keep_on_card=True)
    assert kept is not None and kept.is_hw_owned
    with pytest.raises(MediaError, match=r"cannot read .*face.mp4 as a video"):
        open_source(source, hwaccel="cuda")


def test_the_card_of_the_network_decodes(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    if have_driver():
        pytest.skip("this machine has a driver")
    asked: list[tuple[object, ...]] = []
    decoder = hardware.hardware_decoder

    def noted(*how: Any) -> Any:
        asked.append(how)
        return decoder(*how)

    monkeypatch.setattr(hardware, "require_card", lambda index: None)
    monkeypatch.setattr(opening, "hardware_decoder", noted)
    for card in (None, 1):
        with pytest.raises(MediaError):  # here FFmpeg finds no driver
            open_input(source, RestoreOptions(hwaccel="cuda", card=card))
    assert asked == [("cuda", 0, False), ("cuda", 1, True)]


@pytest.mark.parametrize(
    ("options", "loaded", "said"),
    [
        ((), "VideoRestorer", "on the card: the network, cutting out, painting; on the host: deco"),
        ((), "VideoRestorer", "; then: this ONNX Runtime has no CUDAExecutionProvider; "),
        (
            ("--scale", 2),
            "Restorer",
            "cutting out, painting (the video is enlarged)",
        ),
        (("--save-crops", "crops"), "Restorer", "cutting out, painting (crops are saved)"),
    ],
)
def test_whole_frames_stay_on_the_card_where_they_can(
    monkeypatch: pytest.MonkeyPatch,
    keeprt: Command,
    tmp_path: Path,
    tiny_bundle: Path,
    options: tuple[object, ...],
    loaded: str,
    said: str,
) -> None:
    """With the CPU's network in place of a card's."""
    monkeypatch.chdir(tmp_path)
    asked = []
    for kind in (Restorer, VideoRestorer):
        load = kind.load

        def on_cpu(*given: Any, load: Any = load, **how: Any) -> Any:
            asked.append((load.__self__.__name__, how.pop("backend")))
            return load(*given, **how)

        monkeypatch.setattr(kind, "load", on_cpu)
    source, out = write_clip(tmp_path / "in.mp4", one_face(3)), tmp_path / "out.mp4"
    given = ("--bundle", tiny_bundle, "--backend", "rtx", "--threads", 1, *options)
    code, _, printed = keeprt("restore", source, out, *given)
    assert code == 0, printed
    assert asked == [(loaded, "rtx")] and said in printed and "3 restored" in printed
