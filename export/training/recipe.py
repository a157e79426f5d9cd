"""What is trained how long, on what, at which rate: the demo's recipe and the paper's."""

from __future__ import annotations

from dataclasses import dataclass

from keeprt.export.training.losses import PictureWeights

# stages in their order, by the number that `--stage` takes; the flow needs nothing of the others
STAGES = {
    "autoencoder": "1",
    "flow": "flow",
    "lookup": "2",
    "filter": "2",
    "fusion": "3",
}

PLAIN = PictureWeights(l1=1.0, perceptual=1.0)


@dataclass(frozen=True)
class StageRecipe:
    """One stage: `clips` of `frames` a step and process, and the rate of learning.

    The rate rises in the first tenth and falls to nothing by a cosine, or is `constant`. `ema` is
    the decay of the running mean of the weights that is kept in the end, 0 for none.
    """

    steps: int
    clips: int
    frames: int
    rate: float
    constant: bool = False
    ema: float = 0.0
    pictures: PictureWeights = PLAIN
    commitment: float = 1.0
    recurrent: bool = True  # stage III: codes from corrected latents, else from observed ones


@dataclass(frozen=True)
class Ranges:
    """Eq. 9's parameters, drawn anew for every clip: blur in pixels, noise in 8-bit levels."""

    blur_sigma: tuple[float, float]
    noise_sigma: tuple[float, float]
    crf: tuple[int, int]
    downscale: int = 4


@dataclass(frozen=True)
class Recipe:
    """All stages, and the degradation of what they see at a face size of `size`."""

    stages: dict[str, StageRecipe]
    ranges: Ranges
    size: int
    half: bool = False  # the weights are written in half precision

    def blur_at(self, face_size: int) -> tuple[float, float]:
        """The blur's range for faces of another size."""
        scale = face_size / self.size
        return self.ranges.blur_sigma[0] * scale, self.ranges.blur_sigma[1] * scale


DEMO = Recipe(
    stages={
        "autoencoder": StageRecipe(1500, 1, 1, 2.5e-3, commitment=0.25),
        "flow": StageRecipe(1000, 1, 3, 1e-3),
        "lookup": StageRecipe(700, 1, 3, 1.2e-3),
        "filter": StageRecipe(450, 1, 5, 1e-3),
        "fusion": StageRecipe(
            700,
            1,
            3,
            2e-3,
            pictures=PictureWeights(l1=1.0, perceptual=1.0, temporal=0.5),
            recurrent=False,
        ),
    },
    ranges=Ranges(blur_sigma=(1.5, 6.0), noise_sigma=(0.0, 15.0), crf=(24, 42)),
    size=256,
    half=True,
)

# As arXiv 2408.05205 states it. The paper trains stage II as a whole; here its first three quarters
# are on single frames. The authors begin with a trained GMFlow; the flow's steps and rate are ours.
PAPER = Recipe(
    stages={
        "autoencoder": StageRecipe(
            800_000,
            4,
            1,
            2e-4,
            constant=True,
            ema=0.999,
            pictures=PictureWeights(l1=1.0, perceptual=1.0, adversarial=0.8),
        ),
        "flow": StageRecipe(100_000, 4, 3, 2e-4),
        "lookup": StageRecipe(300_000, 4, 1, 2e-4, constant=True, ema=0.999),
        "filter": StageRecipe(100_000, 1, 8, 2e-4, constant=True, ema=0.999),
        "fusion": StageRecipe(
            50_000,
            1,
            6,
            1e-4,
            constant=True,
            ema=0.999,
            pictures=PictureWeights(l1=0.01, perceptual=1.0, adversarial=0.1, temporal=0.1),
        ),
    },
    ranges=Ranges(blur_sigma=(2.0, 10.0), noise_sigma=(0.0, 10.0), crf=(25, 45)),
    size=512,
)

RECIPES = {"demo": DEMO, "paper": PAPER}
