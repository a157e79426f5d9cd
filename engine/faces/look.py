"""What a face looks like, in numbers, and what two such looks say: one person, or not; still there?

All thresholds are here. They were measured on clips of four people and a photograph of six more:
`docs/faces.md` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

#: Differences of pictures, 0 to 2. One person from frame to frame: 0.01, 0.15 at most. Two people
#: in one pose: 0.64, 0.28 for the closest pairs.
SAME_PICTURE = 0.2
#: No noise and no gap makes more than this of one person: beyond it is another.
OTHER_PICTURE = 0.35
_PER_FRAME = 0.015  # of a gap: a head goes on turning while nobody sees it
_NOISE_FACTOR = 2.0
#: Differences (1 - cosine) of embeddings; what verification with ArcFace's networks usually takes.
SAME_PERSON = 0.65
#: Under landmarks that were not seen but expected: certainly the face, and certainly not.
PRESENT, ABSENT = 0.25, 0.45
_LEARNING = 0.2


@dataclass(frozen=True, eq=False)
class Look:
    """picture: (n,) float32, of length 1, shorter where there is nothing to be seen. person: an
    embedding of length 1, None without a network for it."""

    picture: Vector
    person: Vector | None = None


def difference(one: Look, other: Look) -> float:
    """Of the pictures, 0 (alike but for brightness and contrast) to 2."""
    return 1.0 - float(one.picture @ other.picture)


def same_person(known: Look, new: Look, frames: int = 1, restless: float = 0.0) -> bool:
    """Whether a face of `frames` frames ago and a new one are one person's.

    restless: the usual difference from frame to frame of the known face, of which noise has its
    part. Embeddings decide alone where both looks have one.
    """
    if known.person is not None and new.person is not None:
        return 1.0 - float(known.person @ new.person) <= SAME_PERSON
    limit = max(SAME_PICTURE, _NOISE_FACTOR * restless) + _PER_FRAME * (frames - 1)
    return difference(known, new) <= min(limit, OTHER_PICTURE)


def presence(known: Look, here: Look, restless: float = 0.0, doubted: bool = False) -> float:
    """How certainly a place where a face is expected still shows it, 0 to 1.

    doubted: something else was detected at that place.
    """
    far = difference(known, here) - restless
    if doubted:
        return float(far <= SAME_PICTURE)
    return float(np.clip((ABSENT - far) / (ABSENT - PRESENT), 0.0, 1.0))


def follow_look(known: Look | None, new: Look | None) -> Look | None:
    """What is remembered of a face after its next hit: the newest picture, a mean of embeddings."""
    if known is None or new is None or known.person is None or new.person is None:
        return new or known
    mean = known.person + np.float32(_LEARNING) * (new.person - known.person)
    length = max(float(np.linalg.norm(mean)), 1e-6)
    return Look(new.picture, np.asarray(mean / length, np.float32))


def follow_restless(restless: float, known: Look | None, new: Look | None) -> float:
    """The running mean of the differences from hit to hit."""
    if known is None or new is None:
        return restless
    return restless + _LEARNING * (min(difference(known, new), OTHER_PICTURE) - restless)
