"""Launches of the real PTX, compared with the kernels' NumPy twins."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels import launch, loader
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.launch import Launch
from keeprt.kernels.paste_back import paste_back
from keeprt.kernels.shrink import shrink
from keeprt.kernels.warp_by_flow import warp_by_flow
from ptx.compile import compile_ptx
from ptx.module import Counts, Held, Module

Array = NDArray[Any]


def executed(
    architecture: str,
    folder: Path,
    only: Container[str] | None = None,
    sources: Path = loader.FOLDER,
) -> Executed:
    """The project's kernels, or those named, as NVRTC compiles them for an architecture."""
    texts = [compile_ptx(source, architecture, sources) for source in loader.SOURCES]
    return Executed(Module(texts, folder, only))


@dataclass(frozen=True)
class Executed:
    """The kernels of one architecture; every method asserts that PTX and twin agree."""

    module: Module

    def crop(
        self,
        planes: Sequence[Array],
        format: FrameFormat,
        faces: Array,
        size: int,
        dtype: Any,
        *,
        orders: bool = False,
        count: bool = False,
        copies: bool = True,
    ) -> Counts | None:
        expected = crop_align(planes, format, faces, size, dtype)
        held = [tight(plane) if copies else plane for plane in planes]
        where = tight(faces)
        out = tight(np.full(expected.shape, 77, dtype))
        what = launch.crop_align(
            tuple(map(address, held)),
            format,
            address(where),
            address(out),
            len(faces),
            size,
            np.dtype(dtype) == np.float16,
        )
        reads = [*(Held(p, slack_bytes=s) for p, s in zip(held, slack(format), strict=True))]
        counts = self._run(what, [*reads, Held(where), Held(out, writable=True)], orders, count)
        np.testing.assert_array_equal(out, expected)
        return counts

    def paste(
        self,
        planes: Sequence[Array],
        format: FrameFormat,
        placement: Array,
        face: Array,
        crop: Array,
        dither: bool = False,
        *,
        orders: bool = False,
        count: bool = False,
    ) -> Counts | None:
        twin = [plane.copy() for plane in planes]
        paste_back(twin, format, placement, face, crop, dither)
        held = [tight(plane) for plane in planes]
        given = [tight(np.atleast_1d(placement)), tight(face), tight(crop)]
        what = launch.paste_back(
            tuple(map(address, held)),
            format,
            *map(address, given),
            face.shape[-1],
            crop.dtype == np.float16,
            dither,
        )
        writes = [Held(p, True, s) for p, s in zip(held, slack(format), strict=True)]
        counts = self._run(what, [*writes, *map(Held, given)], orders, count)
        for plane, expected in zip(held, twin, strict=True):
            np.testing.assert_array_equal(plane, expected)
        return counts

    def shrink(
        self,
        planes: Sequence[Array],
        format: FrameFormat,
        width: int,
        height: int,
        *,
        orders: bool = False,
        count: bool = False,
        copies: bool = True,
    ) -> Counts | None:
        expected = shrink(planes, format, width, height)
        held = [tight(plane) if copies else plane for plane in planes]
        out = tight(np.full(expected.shape, 77, np.uint8))
        what = launch.shrink(tuple(map(address, held)), format, address(out), width, height)
        reads = [Held(p, slack_bytes=s) for p, s in zip(held, slack(format), strict=True)]
        counts = self._run(what, [*reads, Held(out, writable=True)], orders, count)
        np.testing.assert_array_equal(out, expected)
        return counts

    def warp(
        self,
        previous: Array,
        flow: Array,
        mask: Array,
        *,
        orders: bool = False,
        count: bool = False,
    ) -> Counts | None:
        expected = warp_by_flow(previous, flow, mask)
        reads = [tight(array) for array in (previous, flow, mask)]
        out = tight(np.full_like(previous, 77))
        batch, _, height, width = previous.shape
        what = launch.warp_by_flow(*map(address, (*reads, out)), batch, height, width)
        held = [*map(Held, reads), Held(out, writable=True)]
        counts = self._run(what, held, orders, count)
        # exp differs in its last bits, so the flow does by some 1e-6 of itself; a coordinate has
        # steps of 6e-8 of the width; what that makes of the picture goes with its slope.
        reach = largest(flow, 2.0 * max(flow.shape[2:]))
        atol = 2 * largest(previous) * (6e-8 * max(height, width) + 8e-6 * reach)
        np.testing.assert_allclose(out, expected, rtol=0, atol=atol)
        return counts

    def _run(self, what: Launch, held: list[Held], orders: bool, count: bool) -> Counts | None:
        """One run, or, of `orders`, four whose blocks and threads come in other orders."""
        written = [one.array for one in held if one.writable]
        start = [array.copy() for array in written]
        blocks = np.arange(np.prod(what.grid))
        shuffled = np.random.default_rng(0).permutation(blocks)
        plans = [(blocks, False), (blocks[::-1], True), (shuffled, False), (shuffled, True)]
        results = []
        for order, backwards in plans if orders else plans[:1]:
            for array, before in zip(written, start, strict=True):
                array[...] = before
            outcome = self.module.run(what, held, order=order, backwards=backwards, count=count)
            assert not outcome.complaints, f"{what.kernel}: {outcome.text}"
            results.append([array.tobytes() for array in written])
        assert all(other == results[0] for other in results), "the order of blocks shows"
        return outcome.counts


def tight(array: Array) -> Array:
    """A copy that is aligned no better than its type asks: an access that needs more is found."""
    word = array.dtype.itemsize if array.dtype.names is None else 4
    memory = np.empty(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + word
    view = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def slack(format: FrameFormat) -> list[int]:
    """Bytes of padding behind the last row of each plane, which nothing may touch."""
    word = np.dtype(format.layout.dtype).itemsize
    shapes = zip(format.plane_shapes(), format._tight_planes(), strict=True)
    return [(pitch - least) * word for (_, pitch), (_, least) in shapes]


def address(array: Array) -> int:
    return int(array.ctypes.data)


def largest(array: Array, limit: float = np.inf) -> float:
    finite = np.abs(array[np.isfinite(array)], dtype=np.float64)
    return float(min(finite.max(initial=0.0), limit))
