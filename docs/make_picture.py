"""Draws docs/recurrence.png, the picture of model.md: `python docs/make_picture.py [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, PALE, FREE, CHAIN, STATE = "#1d2733", "#ffffff", "#dbe9f6", "#fde3cf", "#e3f1dd"
# Centre x, centre y, width, text, colour.
BOXES = {
    "in": (1.0, 3.2, 1.5, "face $x_t$\n512 x 512", PALE),
    "encoder": (3.6, 4.3, 2.0, "LQ encoder", FREE),
    "gain_net": (6.3, 4.3, 2.0, "gain network", FREE),
    "flow": (3.6, 2.1, 2.0, "optical flow\n$x_t$ to $x_{t-1}$", FREE),
    "warp": (6.3, 2.1, 2.0, "warp", CHAIN),
    "hq": (8.9, 2.1, 2.0, "HQ encoder", CHAIN),
    "blend": (8.9, 4.3, 2.3, "$(1-K)\\,z + K\\,\\hat{z}$", CHAIN),
    "decoder": (11.9, 4.3, 2.2, "code lookup\n+ generator", CHAIN),
    "out": (14.5, 4.3, 1.6, "restored\nface $y_t$", PALE),
    "state": (9.1, 0.45, 10.6, "state:  $y_{t-1}$,  generator features,  flow features,"
              "  latents of the window", STATE),
}  # fmt: skip
# From, to, label, its offset, bend.
ARROWS = (
    ("in", "encoder", "", (0, 0), 0),
    ("in", "flow", "", (0, 0), 0),
    ("encoder", "blend", "latent $z$", (0, 0.62), -0.16),
    ("encoder", "gain_net", "", (0, 0.2), 0),
    ("gain_net", "blend", "$K$", (0, 0.2), 0),
    ("flow", "warp", "flow", (0, 0.2), 0),
    ("warp", "hq", "", (0, 0), 0),
    ("hq", "blend", "predicted $\\hat{z}$", (0.85, 0), 0),
    ("blend", "decoder", "", (0, 0), 0),
    ("decoder", "out", "", (0, 0), 0),
    ("state", "warp", "$y_{t-1}$", (-0.4, 0), 0),
    ("decoder", "state", "next frame", (0.75, 0.1), 0),
)
HEIGHT = 0.9


def draw(path: Path) -> None:
    """Writes the picture as PNG."""
    figure, axes = plt.subplots(figsize=(11, 4.6))
    axes.set(xlim=(0, 15.5), ylim=(-0.3, 6.4))
    axes.axis("off")
    for arrow in ARROWS:
        _arrow(axes, *arrow)
    for box in BOXES.values():
        _box(axes, *box)
    _legend(axes)
    figure.savefig(path, dpi=130, facecolor="white", bbox_inches="tight", pad_inches=0.1)
    plt.close(figure)


def _box(axes: Any, x: float, y: float, width: float, text: str, colour: str) -> None:
    corner = (x - width / 2, y - HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.12"
    box = FancyBboxPatch(corner, width, HEIGHT, style, facecolor=colour, edgecolor=INK, zorder=2)
    axes.add_patch(box)
    axes.text(x, y, text, ha="center", va="center", color=INK, fontsize=10.5, zorder=3)


def _arrow(
    axes: Any, start: str, end: str, label: str, offset: tuple[float, float], bend: float
) -> None:
    (x0, y0), (x1, y1) = _edge(start, end), _edge(end, start)
    if bend:  # over what stands between them, from top to top
        (x0, y0), (x1, y1) = ((BOXES[box][0], BOXES[box][1] + HEIGHT / 2) for box in (start, end))
    axes.add_patch(
        FancyArrowPatch(
            (x0, y0), (x1, y1), arrowstyle="-|>", mutation_scale=14, color=INK, zorder=1,
            connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip
    middle = ((x0 + x1) / 2 + offset[0], (y0 + y1) / 2 + offset[1])
    axes.text(*middle, label, ha="center", va="center", color=INK, fontsize=9)


def _edge(box: str, other: str) -> tuple[float, float]:
    """Where an arrow leaves a box for another: sideways, or straight up and down."""
    x, y, width, *_ = BOXES[box]
    other_x, other_y, *_ = BOXES[other]
    inside = x if "state" not in (box, other) else (other_x if box == "state" else x)
    if "state" in (box, other) or abs(other_x - x) < 1:
        return inside, y + (HEIGHT / 2 if other_y > y else -HEIGHT / 2)
    return x + (width / 2 if other_x > x else -width / 2), y


def _legend(axes: Any) -> None:
    for x, colour, text in (
        (0.8, FREE, "needs only low-quality frames: may run ahead"),
        (7.1, CHAIN, "waits for the previous frame"),
        (11.5, STATE, "carried to the next frame"),
    ):
        axes.add_patch(FancyBboxPatch((x, 6.0), 0.3, 0.22, "square,pad=0", facecolor=colour,
                                      edgecolor=INK, linewidth=0.6))  # fmt: skip
        axes.text(x + 0.45, 6.11, text, va="center", color=INK, fontsize=9)


if __name__ == "__main__":
    default = Path(__file__).with_name("recurrence.png")
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
