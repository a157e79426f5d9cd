"""The operations of a frame, in the order of the data; what a frame is decides which there are.

Faces that go on stand in the first rows, longest window first, faces that begin in the last ones.
Every list touches the same buffers whatever its number of faces, so that one placement of the
buffers in memory serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.frame.buffers import BufferTable
from keeprt.engine.frame.operations import (
    Copy,
    GivePicture,
    Infer,
    Operation,
    Outside,
    Put,
    TakePicture,
    View,
    Warp,
)
from keeprt.engine.state import state_shapes

Operations = tuple[Operation, ...]


class FaceList:
    """Writes the lists of one bundle's frames; every list is a plain value."""

    def __init__(self, bundle: Bundle, table: BufferTable, window: int) -> None:
        """`window` is the number of latents that a face's state holds."""
        self._table = table
        self._window = window
        self._kalman = bundle.has_kalman
        self._state = [name for name in state_shapes(bundle, window) if name != "latents"]
        self._caches = [name for name in self._state if name.startswith("cache_")]
        outputs = [spec.name for spec in bundle.subgraphs["lq_encoder"].outputs]
        self._observed = [*outputs, *(["features"] if bundle.has_kalman else [])]

    def stream(self, windows: Sequence[int]) -> Operations:
        """One frame of stream mode; `windows` has for each face how many latents its state holds.

        They go down from row to row; 0 is a first frame.
        """
        faces, going_on = len(windows), sum(held > 0 for held in windows)
        operations = self._take(faces)
        if self._kalman:
            operations.append(self._infer("flow_features", faces))
            if going_on:
                operations += self._flow(going_on)
            operations.append(self._keep("keep_features", ["features"], faces))
        operations.append(self._infer("lq_encoder", faces))
        operations.append(self._mark_first(faces, going_on))
        if self._kalman:
            operations += self._keep_first(going_on, faces)
            operations += self._gains(windows[:going_on])
        return (*operations, *self._correct(faces, going_on))

    def observe(self) -> Operations:
        """Clip mode, first pass: what a frame shows by itself goes to "chunk.*"."""
        operations = [*self._take(1), self._infer("lq_encoder", 1)]
        if self._kalman:
            operations.append(self._infer("flow_features", 1))
        store = [Copy(self._table.row(n, 0), Outside(f"chunk.{n}")) for n in self._observed]
        return (*operations, Operation("store", tuple(store)))

    def chunk_gains(self, frames: int, before: int) -> Operations:
        """Clip mode: gains of a chunk's frames, seen together with `before` (0 or 1) latents."""
        latent = math.prod(self._table.row("latent", 0).shape)
        row = self._table.row("latent", 0).shape
        gather = [
            Copy(Outside("chunk.before"), View("window", row)) if before else None,
            Copy(
                Outside("chunk.latents", count=frames),
                View("window", (frames, *row), before * latent),
            ),
            Put(View("selected", (frames,)), tuple(range(before, before + frames))),
        ]
        inputs, outputs = self._table.bound(
            "gain_net", faces=1, frames=before + frames, selected=frames
        )
        gains = dict(outputs)["gains"]
        taken = View(gains.buffer, gains.shape[1:])
        return (
            Operation("gather", tuple(work for work in gather if work is not None)),
            Operation("gain_net", (Infer("gain_net", inputs, outputs),)),
            Operation("scatter", (Copy(taken, Outside("chunk.gains", count=frames)),)),
        )

    def chunk_frame(self, going_on: bool) -> Operations:
        """Clip mode, second pass: a frame whose observations and gain are in "chunk.*"."""
        fetched = [*self._observed, *(["gain"] if going_on and self._kalman else [])]
        fetch = [Copy(Outside(f"chunk.{n}"), self._table.row(n, 0)) for n in fetched]
        operations = [Operation("fetch", tuple(fetch)), self._mark_first(1, int(going_on))]
        if self._kalman:
            if going_on:
                operations += self._flow(1)
            operations.append(self._keep("keep_features", ["features"], 1))
        return (*operations, *self._correct(1, int(going_on)))

    def _take(self, faces: int) -> list[Operation]:
        """What fills "face"."""
        work = (
            TakePicture(Outside("picture", row), self._table.row("face", row))
            for row in range(faces)
        )
        return [Operation("upload", tuple(work))]

    def _give(self, faces: int) -> list[Operation]:
        """What becomes of "restored"; the last one is "download"."""
        work = (
            GivePicture(self._table.row("restored", row), Outside("result", row))
            for row in range(faces)
        )
        return [Operation("download", tuple(work), also_reads=("codes", "margin"))]

    def _infer(self, subgraph: str, faces: int) -> Operation:
        return Operation(subgraph, (Infer(subgraph, *self._table.bound(subgraph, faces=faces)),))

    def _mark_first(self, faces: int, going_on: int) -> Operation:
        """Rows of first frames are computed on and then selected away: zeros, never garbage."""
        first = tuple(int(row >= going_on) for row in range(faces))
        work = [Put(View("is_first", (faces,)), first)]
        if self._kalman:
            work.append(Put(self._table.rows("gain", going_on, faces - going_on), (0,)))
        return Operation("mark_first", tuple(work))

    def _flow(self, faces: int) -> list[Operation]:
        recall = Operation("recall_features", tuple(self._recalled(["features"], faces)))
        return [recall, self._infer("flow_matching", faces)]

    def _gains(self, windows: Sequence[int]) -> Iterator[Operation]:
        """The newest frame's gain for each face; faces with windows of one length go together.

        What a state keeps of its window is written with it: no operation then waits for another.
        """
        latent = math.prod(self._table.row("latent", 0).shape)
        first = 0
        for number, (held, group) in enumerate(groupby(windows)):
            faces, frames = len(list(group)), min(held + 1, self._window)
            slide = [
                work
                for row in range(faces)
                for work in self._slide(first + row, held, row * frames * latent)
            ]
            slide += (self._keep_latent(first + row, row, held) for row in range(faces))
            slide.append(Put(View("selected", (1,)), (frames - 1,)))
            bound = self._table.bound("gain_net", faces=faces, frames=frames, selected=1)
            rows = self._table.rows("gain", first, faces)
            taken = Copy(View("gains", rows.shape), rows)
            yield Operation(f"slide_window.{number}", tuple(slide))
            yield Operation(f"gain_net.{number}", (Infer("gain_net", *bound),))
            yield Operation(f"place_gain.{number}", (taken,))
            first += faces

    def _slide(self, face: int, held: int, start: int) -> Iterator[Copy | Put]:
        """The window that a face's gain sees: anchor, the latest latents, the frame's own."""
        row = self._table.row("latent", face).shape
        latent = math.prod(row)
        kept = [(0, held)] if held < self._window else [(0, 1), (2, self._window - 2)]
        for first, count in kept:
            if count:
                past = Outside("state.latents", face, first, count)
                yield Copy(past, View("window", (count, *row), start))
                start += count * latent
        yield Copy(self._table.row("latent", face), View("window", row, start))

    def _keep_latent(self, face: int, place: int, held: int) -> Copy:
        """Appends a face's latent to its state; a full window as it has moved on is the state."""
        row = self._table.row("latent", face).shape
        if held < self._window:
            own = self._table.rows("latent", face, 1)
            return Copy(own, Outside("state.latents", face, held, 1))
        moved_on = View("window", (held, *row), place * held * math.prod(row))
        return Copy(moved_on, Outside("state.latents", face))

    def _keep_first(self, first: int, faces: int) -> Iterator[Operation]:
        """The anchors of faces that begin, from row `first` on."""
        if first < faces:
            work = (self._keep_latent(face, 0, 0) for face in range(first, faces))
            yield Operation("keep_first", tuple(work))

    def _correct(self, faces: int, going_on: int) -> Iterator[Operation]:
        """Prediction by the warped past, update, code lookup, generator."""
        rows, begin = self._table.rows, faces - going_on
        if self._kalman and going_on:
            yield Operation("recall_face", tuple(self._recalled(["restored"], going_on)))
            warp = (rows(n, 0, going_on) for n in ("previous_restored", "flow", "mask", "warped"))
            yield Operation("warp", (Warp(*warp),))
            yield self._infer("hq_encoder", going_on)
        recall: list[Copy | Put] = list(self._recalled(self._caches, going_on))
        blank = [f"previous_{name}" for name in self._caches]
        blank += ["predicted"] if self._kalman else []
        recall += [Put(rows(name, going_on, begin), (0,)) for name in blank]
        if recall:
            yield Operation("recall_caches", tuple(recall))
        yield self._infer("decoder", faces)
        kept = [name for name in self._state if name != "features"]
        if kept:
            yield self._keep("keep_face", kept, faces)
        yield from self._give(faces)

    def _recalled(self, names: Sequence[str], faces: int) -> Iterator[Copy]:
        for name in names:
            for face in range(faces):
                past = Outside(f"state.{name}", face)
                yield Copy(past, self._table.row(f"previous_{name}", face))

    def _keep(self, operation: str, names: Sequence[str], faces: int) -> Operation:
        work = (
            Copy(self._table.row(name, face), Outside(f"state.{name}", face))
            for name in names
            for face in range(faces)
        )
        return Operation(operation, tuple(work))
