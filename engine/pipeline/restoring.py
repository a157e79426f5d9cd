"""The stage that restores: aligned crops through the network, a latent state per track."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary
from keeprt.engine.restorer import Restorer
from keeprt.engine.state import FaceState


def restore(
    works: Iterable[FrameWork], restorer: Restorer | None, summary: Summary
) -> Iterator[FrameWork]:
    """The same frames with their faces restored; without a network each face is its own crop."""
    if restorer is None:
        return bypass(works)
    if restorer.mode == "clip":
        return restore_chunks(works, restorer, summary)
    return restore_stream(works, restorer, summary)


def bypass(works: Iterable[FrameWork]) -> Iterator[FrameWork]:
    """Everything but the network."""
    for work in works:
        for face in work.faces:
            face.restored = face.crop
        yield work


def restore_stream(
    works: Iterable[FrameWork], restorer: Restorer, summary: Summary
) -> Iterator[FrameWork]:
    """The faces of a frame as one batch, or several if there are more than `max_faces`.

    A track's state goes on from the frame before. It begins anew where the track does, after a
    frame without it, and at a cut.
    """
    states: dict[int, FaceState] = {}
    spare: list[FaceState] = []
    for work in works:
        with summary.timed("restore"):
            here = set() if work.cut else {face.track for face in work.faces}
            spare += [states.pop(track) for track in list(states) if track not in here]
            for face in work.faces:
                face.fresh = face.track not in states
                if face.fresh:
                    states[face.track] = spare.pop().reset() if spare else restorer.new_state()
            for batch in batches(work.faces, restorer.max_faces):
                _restore_batch(batch, states, restorer)
        yield work


def restore_chunks(
    works: Iterable[FrameWork], restorer: Restorer, summary: Summary
) -> Iterator[FrameWork]:
    """Each track in chunks of consecutive frames, as the authors' script does with its one face.

    At most one chunk of frames is held until its faces are done.
    """
    waiting: deque[FrameWork] = deque()
    chunks: dict[int, list[AlignedFace]] = {}

    def finish(tracks: Iterable[int]) -> None:
        for track in list(tracks):
            with summary.timed("restore"):
                _restore_chunk(chunks.pop(track), restorer)

    for work in works:
        here = set() if work.cut else {face.track for face in work.faces}
        finish(track for track in list(chunks) if track not in here)
        waiting.append(work)
        for face in work.faces:
            chunks.setdefault(face.track, []).append(face)
        finish(track for track in list(chunks) if len(chunks[track]) == restorer.chunk)
        while waiting and all(face.restored is not None for face in waiting[0].faces):
            yield waiting.popleft()
    finish(chunks)
    yield from waiting


def batches(faces: list[AlignedFace], size: int) -> list[list[AlignedFace]]:
    """The faces in groups of at most `size`."""
    return [faces[first : first + size] for first in range(0, len(faces), size)]


def _restore_batch(
    faces: list[AlignedFace], states: dict[int, FaceState], restorer: Restorer
) -> None:
    restored, advanced = restorer.restore(
        [face.crop for face in faces], [states[face.track] for face in faces]
    )
    for face, picture, state in zip(faces, restored, advanced, strict=True):
        face.restored, states[face.track] = picture, state


def _restore_chunk(faces: list[AlignedFace], restorer: Restorer) -> None:
    restored = restorer.restore_clip(face.crop for face in faces)
    for face, picture in zip(faces, restored, strict=True):
        face.restored = picture
    faces[0].fresh = True
