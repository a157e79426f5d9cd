"""Colours of the report by name: the light ones, the dark ones, and what a chart writes for each.

The series keep apart for the common kinds of colour blindness (after Okabe and Ito), stand out by
3:1 or more from their background, and lines differ in their dashes too.
"""

from __future__ import annotations

# name: (light, dark)
COLOURS = {
    "page": ("#fbfbfa", "#101317"),
    "surface": ("#ffffff", "#171b20"),
    "ink": ("#1a1e23", "#e9ebee"),
    "muted": ("#59616b", "#9ca5b0"),
    "shade": ("#c9ced4", "#3a434c"),
    "line": ("#dfe3e7", "#2d343c"),
    "good": ("#0a6b3d", "#63d297"),
    "good-tint": ("#e6f4ec", "#12291d"),
    "bad": ("#b1241b", "#ff8f83"),
    "bad-tint": ("#fcebe9", "#341815"),
    "note-tint": ("#f1f4f7", "#1c2229"),
    "series-1": ("#1c6cb0", "#6db3f2"),
    "series-2": ("#c4501c", "#f28e5a"),
    "series-3": ("#0e866a", "#4fcaa6"),
    "series-4": ("#86509f", "#c9a0e2"),
    "series-5": ("#946f00", "#e2bc50"),
    "series-6": ("#5f6670", "#adb6c1"),
}
SERIES = 6
DASHES = ("", "", "6 3", "2 2", "8 2 2 2", "4 1.5")


def series_colour(index: int) -> str:
    """Name of the colour of the series with this number; they repeat with other dashes."""
    return f"series-{index % SERIES + 1}"


def series_dashes(index: int) -> str:
    """SVG dash pattern of the series with this number, empty for a solid line."""
    return DASHES[(index + 2 * (index // SERIES)) % len(DASHES)]


def light(name: str) -> str:
    """The light colour: what a chart is drawn with before its colours become names."""
    return COLOURS[name][0]


def declarations(dark: bool) -> str:
    """CSS custom properties of one theme."""
    return "".join(f"--{name}:{pair[dark]};" for name, pair in COLOURS.items())


NAMES = {pair[0]: name for name, pair in COLOURS.items()}
