"""The stage that restores: aligned crops through the network, a latent state per track."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary
from keeprt.engine.restorer import Restorer
from keeprt.engine.state import FaceState
from keeprt.engine.turns import IN_FLIGHT
from keeprt.engine.video_restorer import VideoRestorer


class FaceRestorer(Protocol):
    """Restores the faces of frames that come one after the other."""

    def step(self, work: FrameWork) -> list[FrameWork]:
        """Take the next frame; gives the frames whose faces are all restored by now."""
        ...

    def finish(self) -> list[FrameWork]:
        """The frames that are still owed."""
        ...


def face_restorer(restorer: Restorer | None, summary: Summary) -> FaceRestorer:
    """What fits the restorer's mode; without a network each face is its own crop."""
    if restorer is None:
        return Bypass()
    if restorer.mode == "clip":
        return ChunkRestoring(restorer, summary)
    return StreamRestoring(restorer, summary)


def restore(works: Iterable[FrameWork], stage: FaceRestorer) -> Iterator[FrameWork]:
    """The same frames with their faces restored."""
    for work in works:
        yield from stage.step(work)
    yield from stage.finish()


class Bypass:
    """Everything but the network."""

    def step(self, work: FrameWork) -> list[FrameWork]:
        """The crops themselves, at once."""
        for face in work.faces:
            face.restored = face.crop
        return [work]

    def finish(self) -> list[FrameWork]:
        """Nothing waits."""
        return []


class Following:
    """The states of a video's tracks: a track's goes on from the frame before, and begins anew
    where the track does, after a frame without it, and at a cut."""

    def __init__(self, states: Restorer | VideoRestorer) -> None:
        """states: where new ones come from."""
        self._new = states.new_state
        self._states: dict[int, FaceState] = {}
        self._spare: list[FaceState] = []

    def _begin(self, work: FrameWork) -> None:
        """A state for each face of the next frame, and for no other."""
        here = set() if work.cut else {face.track for face in work.faces}
        gone = [track for track in self._states if track not in here]
        self._spare += [self._states.pop(track) for track in gone]
        for face in work.faces:
            face.fresh = face.track not in self._states
            if face.fresh:
                self._states[face.track] = self._new_state()

    def _new_state(self) -> FaceState:
        return self._spare.pop().reset() if self._spare else self._new()


class StreamRestoring(Following):
    """The faces of a frame as one batch, or several if there are more than `max_faces`.

    Where the restorer's frames overlap, on a card, one batch stays in flight and its frame is held;
    else none is.
    """

    def __init__(self, restorer: Restorer, summary: Summary) -> None:
        super().__init__(restorer)
        self._restorer, self._summary = restorer, summary
        restorer.discard()
        self._kept = IN_FLIGHT - 1 if restorer.overlaps else 0
        self._batches: deque[list[AlignedFace]] = deque()
        self._works: deque[FrameWork] = deque()

    def step(self, work: FrameWork) -> list[FrameWork]:
        """Starts a frame's faces, each from the state of its track; gives the frames that are
        done."""
        with self._summary.timed("restore"):
            self._begin(work)
            self._works.append(work)
            for batch in batches(work.faces, self._restorer.max_faces):
                self._submit(batch)
                self._collect(self._kept)
            if not work.faces:
                self._collect(0)  # nothing runs beside what is in flight: hold no frame for it
        return ready(self._works)

    def finish(self) -> list[FrameWork]:
        """The frame that is held."""
        with self._summary.timed("restore"):
            self._collect(0)
        return ready(self._works)

    def _submit(self, faces: list[AlignedFace]) -> None:
        states = [self._states[face.track] for face in faces]
        advanced = self._restorer.submit([face.crop for face in faces], states)
        self._states |= zip((face.track for face in faces), advanced, strict=True)
        self._batches.append(faces)

    def _collect(self, kept: int) -> None:
        """All batches in flight but the newest `kept`."""
        while len(self._batches) > kept:
            faces = self._batches.popleft()
            for face, picture in zip(faces, self._restorer.collect(), strict=True):
                face.restored = picture


class ChunkRestoring:
    """Each track in chunks of consecutive frames, as the authors' script does with its one face.

    At most one chunk of frames is held until its faces are done.
    """

    def __init__(self, restorer: Restorer, summary: Summary) -> None:
        self._restorer, self._summary = restorer, summary
        self._waiting: deque[FrameWork] = deque()
        self._chunks: dict[int, list[AlignedFace]] = {}

    def step(self, work: FrameWork) -> list[FrameWork]:
        """Takes a frame; gives those whose chunks are whole."""
        here = set() if work.cut else {face.track for face in work.faces}
        self._end(track for track in list(self._chunks) if track not in here)
        self._waiting.append(work)
        for face in work.faces:
            self._chunks.setdefault(face.track, []).append(face)
        full = self._restorer.chunk
        self._end(track for track in list(self._chunks) if len(self._chunks[track]) == full)
        return ready(self._waiting)

    def finish(self) -> list[FrameWork]:
        """Restores what is left and gives it."""
        self._end(list(self._chunks))
        return ready(self._waiting)

    def _end(self, tracks: Iterable[int]) -> None:
        for track in tracks:
            with self._summary.timed("restore"):
                _restore_chunk(self._chunks.pop(track), self._restorer)


def ready(waiting: deque[FrameWork]) -> list[FrameWork]:
    """Takes the frames whose faces are all restored, up to the first that has one that is not."""
    done = []
    while waiting and all(face.restored is not None for face in waiting[0].faces):
        done.append(waiting.popleft())
    return done


def batches(faces: list[AlignedFace], size: int) -> list[list[AlignedFace]]:
    """The faces in groups of at most `size`."""
    return [faces[first : first + size] for first in range(0, len(faces), size)]


def _restore_chunk(faces: list[AlignedFace], restorer: Restorer) -> None:
    restored = restorer.restore_clip(face.crop for face in faces)
    for face, picture in zip(faces, restored, strict=True):
        face.restored = picture
    faces[0].fresh = True
