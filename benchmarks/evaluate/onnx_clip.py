"""`--onnx-clip NAME=FILE`: video networks of others, such as exports of EDVR and BasicVSR++.

They take (1, T, 3, h, w) of the poor file's own small frames and give (1, T, 3, rh, rw), or, as
EDVR does, (1, 3, rh, rw) of the middle frame alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keeprt.benchmarks.evaluate.methods import DegradedClip, Method
from keeprt.benchmarks.evaluate.onnx_file import (
    OnnxNetwork,
    Port,
    Tensor,
    parse_file,
    picture_tensor,
    tensor_picture,
)
from keeprt.benchmarks.evaluate.onnx_method import method_name
from keeprt.engine.errors import BackendError, UsageError
from keeprt.export.training.degradation import Frame

OPTIONS = ("range", "order", "output", "frames", "overlap")
CLIP_RANGES = ("0..1", "-1..1", "0..255")
CONTRACT = (
    "one input (1, T, 3, h, w) of floats, T fixed or free, and an output (1, T, 3, rh, rw), or "
    "(1, 3, rh, rw) of the middle frame"
)


@dataclass(frozen=True)
class ClipNetwork:
    """A checked network. frames: of a window, None for the whole clip at once. overlap: frames that
    neighbouring windows share. middle: the output is one frame."""

    network: OnnxNetwork
    input: Port
    output: str
    frames: int | None
    overlap: int
    middle: bool
    value_range: str
    order: str

    @property
    def words(self) -> str:
        """How it is run."""
        if self.middle:
            return f"each frame in the middle of {self.frames}, ends reflected"
        if self.frames is None:
            return "the whole clip at once"
        shared = f", {self.overlap} shared" if self.overlap else ""
        return f"windows of {self.frames} frames{shared}"


def onnx_clip_method(
    text: str, downscale: int, provider: str = "cpu", threads: int | None = None, device: int = 0
) -> Method:
    """A video network of others: `NAME=FILE[,frames=T][,overlap=K][,range=0..1][,output=PORT]`.

    Where T is fixed in the graph, windows have it; where it is free the whole clip goes in at
    once, or windows of `frames`. The network enlarges by `downscale`. Raises UsageError.
    """
    name, file_text = method_name("--onnx-clip", text)
    network = OnnxNetwork(parse_file(file_text, OPTIONS), provider, threads, device)
    checked = check_clip_network(network)

    def restore(clip: DegradedClip) -> Iterator[Frame]:
        run = _middles if checked.middle else _windows
        for frame in run(checked, clip.small):
            if frame.shape != clip.input[0].shape:
                raise BackendError(
                    f"{network.file.path} gave {frame.shape[1]} x {frame.shape[0]} pixels for "
                    f"{clip.small[0].shape[1]} x {clip.small[0].shape[0]}; expected an "
                    f"enlargement by {downscale} (--downscale)"
                )
            yield frame

    return Method(name, f"{network.file.path.name}, {checked.words}", restore)


def check_clip_network(network: OnnxNetwork) -> ClipNetwork:
    """What a file is and how it is run. Raises UsageError for ports of another kind."""
    fitting = [p for p in network.inputs if p.dtype and p.fits(1, None, 3, None, None)]
    if len(network.inputs) != 1 or not fitting:
        raise network.refuse(CONTRACT)
    clips = [p.name for p in network.outputs if p.fits(1, None, 3, None, None)]
    singles = [p.name for p in network.outputs if p.fits(1, 3, None, None)]
    asked = network.file.options.get("output")
    found = [name for name in (*clips, *singles) if asked in (None, name)]
    if len(found) != 1:
        raise network.refuse(CONTRACT + (", one of which is named by output=" if found else ""))
    fixed, middle = fitting[0].dims[1], found[0] in singles
    frames = _number(network, "frames", fixed, 1)
    if fixed is not None and frames != fixed:
        raise UsageError(f"{network.file.path} takes {fixed} frames, not frames={frames}")
    if middle and (frames is None or frames % 2 == 0):
        raise UsageError(
            f"{network.file.path} gives the middle frame alone: give an odd number of frames="
        )
    overlap = _number(network, "overlap", 0, 0) or 0
    if overlap and (frames is None or middle or overlap >= frames):
        raise UsageError(f"{network.file.path}: overlap={overlap} needs windows of more frames")
    return ClipNetwork(
        network,
        fitting[0],
        found[0],
        frames,
        overlap,
        middle,
        network.file.choice("range", CLIP_RANGES),
        network.file.choice("order", ("rgb", "bgr")),
    )


def window_starts(count: int, length: int, overlap: int) -> list[int]:
    """First frames of the windows; the last one ends with the clip."""
    starts = list(range(0, max(count - length, 0) + 1, length - overlap))
    if starts[-1] + length < count:
        starts.append(count - length)
    return starts


def _windows(checked: ClipNetwork, frames: Sequence[Frame]) -> Iterator[Frame]:
    length = checked.frames or len(frames)
    padded = [frames[_reflected(n, len(frames))] for n in range(max(length, len(frames)))]
    starts = window_starts(len(padded), length, checked.overlap)
    done = 0
    for start, after in zip(starts, [*starts[1:], len(padded)], strict=True):
        found = _run(checked, padded[start : start + length])
        if found.shape[1] != length:
            given = found.shape[1]
            raise BackendError(f"{checked.network.file.path} gave {given} frames for {length}")
        # each frame from the window in which it is farther from the border
        last = start + length
        end = last if after == len(padded) else after + (last - after) // 2
        for index in range(done, min(end, len(frames))):
            yield _picture(checked, found[:, index - start])
        done = max(done, end)


def _middles(checked: ClipNetwork, frames: Sequence[Frame]) -> Iterator[Frame]:
    assert checked.frames is not None
    half = checked.frames // 2
    for index in range(len(frames)):
        near = range(index - half, index + half + 1)
        yield _picture(checked, _run(checked, [frames[_reflected(n, len(frames))] for n in near]))


def _run(checked: ClipNetwork, frames: Sequence[Frame]) -> Tensor:
    how = (checked.input, checked.value_range, checked.order)
    clip = np.stack([picture_tensor(frame, *how) for frame in frames], axis=1)
    return checked.network.run({checked.input.name: clip}, checked.output)


def _picture(checked: ClipNetwork, tensor: Tensor) -> Frame:
    if tensor.ndim != 4 or tensor.shape[1] != 3:
        raise BackendError(f"{checked.network.file.path} gave {tensor.shape}; expected {CONTRACT}")
    return tensor_picture(tensor, checked.value_range, checked.order)


def _reflected(index: int, count: int) -> int:
    """A frame number folded back into the clip at both ends, the end itself not repeated."""
    if count == 1:
        return 0
    period = 2 * (count - 1)
    folded = abs(index) % period
    return min(folded, period - folded)


def _number(network: OnnxNetwork, key: str, default: int | None, least: int) -> int | None:
    text = network.file.options.get(key)
    if text is None:
        return default
    if not text.isdigit() or int(text) < least:
        raise UsageError(f"{network.file.path}: {key}={text}: give a whole number from {least} on")
    return int(text)
