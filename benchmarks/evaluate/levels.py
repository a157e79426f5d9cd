"""How poor a clip is made: three levels of ranges, and the draw of one degradation from them.

The KEEP paper (arXiv 2408.05205) tests on VFHQ-mild, -medium and -heavy: Eq. 9 with blur, noise
and constant rate factor drawn from the ranges of its Table A1, which stand here. Other ranges are
given by `--sigma`, `--noise`, `--crf`, one level at a time.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.export.training.degradation import Degradation

Range = tuple[float, float]

PAPER = "the paper's Table A1"
SIZE = 512  # of the paper's faces

_WORST = {"sigma": 50.0, "noise": 255.0, "crf": 51.0}


@dataclass(frozen=True)
class Level:
    """Ranges that a clip's degradation is drawn from, uniformly, ends included.

    sigma: of the blur, in pixels of a 512-pixel face. noise: sigma in 8-bit levels. crf: of
    libx264, whole numbers. downscale: whole factor r. ranges_from: whose ranges they are.
    """

    name: str
    sigma: Range
    noise: Range
    crf: tuple[int, int]
    downscale: int = 4
    ranges_from: str = PAPER

    def __post_init__(self) -> None:
        for what, worst in _WORST.items():
            low, high = getattr(self, what)
            if not 0 <= low <= high <= worst:
                raise UsageError(
                    f"level {self.name}: {what} from {low:g} to {high:g} is no range; "
                    f"give LO,HI with 0 <= LO <= HI <= {worst:g}"
                )
        if not 1 <= self.downscale <= 32:
            raise UsageError(f"downscale is {self.downscale}; give a whole factor from 1 to 32")

    def draw(self, clip: str, seed: int, size: int = SIZE) -> Degradation:
        """The degradation of a clip of that name; the same for the same name, level and seed.

        The blur is that of a face of `size` pixels, so that a small one is as unsharp as a large.

        Neither other clips nor other levels of a run change it.
        """
        words = [seed, zlib.crc32(self.name.encode()), zlib.crc32(clip.encode())]
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
        # rounded, so that the figures written down give the same clip again
        return Degradation(
            blur_sigma=round(generator.uniform(*self.sigma) * size / SIZE, 3),
            downscale=self.downscale,
            noise_sigma=round(generator.uniform(*self.noise), 3),
            crf=int(generator.integers(self.crf[0], self.crf[1] + 1)),
            seed=int(generator.integers(2**31)),
        )


LEVELS = {
    level.name: level
    for level in (
        Level("mild", sigma=(2.0, 5.0), noise=(0.0, 5.0), crf=(18, 25)),
        Level("medium", sigma=(5.0, 10.0), noise=(5.0, 10.0), crf=(25, 35)),
        Level("heavy", sigma=(5.0, 10.0), noise=(5.0, 10.0), crf=(35, 45)),
    )
}


def parse_levels(
    names: str,
    *,
    sigma: str | None = None,
    noise: str | None = None,
    crf: str | None = None,
    downscale: int = 4,
) -> list[Level]:
    """Levels of a comma-separated list; ranges `LO,HI` replace those of a single one.

    With all three ranges given, the level may have any name. Raises UsageError.
    """
    given = {"sigma": sigma, "noise": noise, "crf": crf}
    ranges = {what: _parse_range(what, text) for what, text in given.items() if text is not None}
    words = [word.strip() for word in names.split(",") if word.strip()]
    if not words or len(set(words)) < len(words):
        raise UsageError(f"level {names!r}: give one or more of {', '.join(LEVELS)}, each once")
    if ranges and len(words) > 1:
        raise UsageError(
            f"--{'/--'.join(ranges)} set the ranges of one level: give one --level, "
            "and run again for the next"
        )
    return [replace(_level(word, ranges), downscale=downscale) for word in words]


def _level(word: str, ranges: dict[str, Range]) -> Level:
    base = LEVELS.get(word)
    if base is None and len(ranges) < len(_WORST):
        raise UsageError(
            f"unknown level {word!r}: choose {', '.join(LEVELS)}, "
            "or give --sigma, --noise and --crf for one of your own"
        )
    if base is not None and not ranges:
        return base
    start = base or Level(word, (0, 0), (0, 0), (0, 0))
    low, high = ranges.get("crf", start.crf)
    if (low, high) != (int(low), int(high)):
        raise UsageError(f"--crf {low:g},{high:g}: give whole numbers")
    return Level(
        word,
        sigma=ranges.get("sigma", start.sigma),
        noise=ranges.get("noise", start.noise),
        crf=(int(low), int(high)),
        ranges_from="command line",
    )


def _parse_range(what: str, text: str) -> Range:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--{what} {text!r}: give two numbers LO,HI") from None
    return low, high
