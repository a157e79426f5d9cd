"""The report's text: the same each time, small, whole or not there, and clear about bad input."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from keeprt.benchmarks import report as r
from keeprt.benchmarks.report.chart_lines import thin
from keeprt.benchmarks.report.charts import draw
from keeprt.benchmarks.report.colours import COLOURS, SERIES
from keeprt.benchmarks.report.numbers import format_number, format_tick
from keeprt.benchmarks.report.pictures import data_uri
from keeprt.engine.errors import MediaError, UsageError
from tests.benchmarks.report.synthetic_report import synthetic_report

GREY = np.zeros((8, 8), np.uint8)
NAN, INF = float("nan"), float("inf")


def test_the_same_report_gives_the_same_bytes(file: Path) -> None:
    assert r.render(synthetic_report()) == file.read_text(encoding="utf-8")


def test_a_page_of_every_block_is_small_and_names_its_colours(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    assert len(page) < 400_000
    charts = re.findall(r"<svg viewBox.*?</svg>", page)
    assert len(charts) == 2 * 6
    assert not [c for c in charts if re.search("#[0-9a-f]{6}|style=|xlink|font-family", c)]
    identities = re.findall(r' id="([^"]+)"', page)
    assert len(identities) == len(set(identities))
    for used in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page):
        assert "".join(used) in identities


def test_a_user_s_plot_settings_change_nothing() -> None:
    chart = r.timeline({"a": [1, 2]}, "s")
    drawn = draw(chart, 0)
    with matplotlib.rc_context({"xtick.major.pad": 30, "axes.spines.bottom": False}):
        assert draw(chart, 0) == drawn


def test_an_older_report_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(self: Path, *_: object, **__: object) -> int:
        raise OSError("no space left")

    with (
        monkeypatch.context() as patch,
        pytest.raises(MediaError, match=r"cannot write .*report\.html: no space left"),
    ):
        patch.setattr(Path, "write_text", fail)
        r.write_report(r.Report("New", []), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    r.write_report(r.Report("New", []), path)
    assert "New" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(MediaError, match="no_folder"):
        r.write_report(r.Report("New", []), tmp_path / "no_folder" / "report.html")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (6.2134, None, "6.213"),
        (6.2, None, "6.2"),
        (6.2, 2, "6.20"),
        (0.0, None, "0"),
        (0.0, 3, "0.000"),
        (1.2e-6, 3, "1.20 \u00d7 10⁻⁶"),
        (-0.5, None, "\u22120.5"),
        (1234567, None, "1,234,567"),
        (np.int64(12), 2, "12"),
        (np.float32(0.25), None, "0.25"),
        (123456.7, None, "123,457"),
        (3e9, None, "3.00 \u00d7 10⁹"),
        (NAN, None, "not a number"),
        (INF, 1, "∞"),
    ],
)
def test_numbers_read_well(value: float, digits: int | None, text: str) -> None:
    assert format_number(value, digits) == text


def test_ticks_are_short() -> None:
    assert [format_tick(x) for x in (0, 0.5, 100, 1e-6, 2e-6, 1e6)] == (
        ["0", "0.5", "100", "10⁻⁶", "2 \u00d7 10⁻⁶", "10⁶"]
    )


def test_percentiles_of_a_histogram_are_those_of_its_values() -> None:
    values = np.random.RandomState(3).gamma(2, 3, 500)
    svg = draw(r.Histogram([*values, NAN], "ms"), 0)
    for percentile in (50, 90, 99):
        marked = f"p{percentile} {format_number(np.percentile(values, percentile))}"
        assert marked in " ".join(svg.svgs["wide"].split())
    assert svg.hidden == 1


def test_a_long_line_keeps_its_extremes_and_its_gaps() -> None:
    y = np.random.RandomState(4).randn(50_000)
    y[12_345], y[23_456], y[30_000:31_000] = 50, -50, np.nan
    x, thinned = thin(np.arange(50_000.0), y, 760)
    assert len(x) <= 2 * 760
    assert (np.diff(x) > 0).all()
    assert thinned[x == 12_345] == 50 and thinned[x == 23_456] == -50
    assert np.isnan(thinned[(x >= 30_100) & (x < 30_900)]).all()
    assert len(draw(r.timeline({"a": y}, "ms"), 0).svgs["wide"]) < 60_000


def test_exact_pictures_keep_every_pixel_and_others_come_close() -> None:
    picture = np.random.RandomState(5).randint(0, 256, (24, 40, 3)).astype(np.uint8)
    assert np.array_equal(decoded(data_uri(picture, exact=True)), picture)
    smooth = cv2.GaussianBlur(picture, (0, 0), 4)
    assert np.abs(decoded(data_uri(smooth)).astype(int) - smooth).mean() < 4


def decoded(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.split(",", 1)[1]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    "chart",
    [
        r.LineChart([], "x", "y"),
        r.timeline({"a": []}, "s", log_y=True),
        r.timeline({"a": [NAN, NAN], "b": [INF, 1]}, "s"),
        r.timeline({"a": [1.0]}, "s", log_y=True),
        r.timeline({"a": [1e-30, 1e30]}, "s", log_y=True, thresholds=[r.Threshold(1, "one")]),
        r.Histogram([], "s"),
        r.Histogram([NAN], "s"),
        r.Histogram([1, 1], "s"),
        r.BarChart([], [], "s"),
        r.BarChart(["a", "b"], [r.Bars("x", [-1, NAN], [-2, NAN], [0, NAN])], "s"),
        r.BarChart(["a"], [r.Bars("x", [NAN]), r.Bars("y", [1])], "s", stacked=True),
        r.Roofline([], []),
        r.Roofline([r.RooflinePoint("a", 0, NAN)], [r.Roof("m", 100, 10)]),
        r.Roofline([r.RooflinePoint("a", 1, 2)], []),
    ],
    ids=lambda chart: type(chart).__name__,
)
@pytest.mark.filterwarnings("error")
def test_charts_of_little_or_nothing_are_drawn(chart: r.Block) -> None:
    assert draw(chart, 0).svgs.keys() == {"wide", "narrow"}  # type: ignore[arg-type]


def test_few_places_are_all_named_and_long_names_keep_their_ends() -> None:
    faces = draw(r.LineChart([r.Line("", [1, 2, 4, 8], [1, 2, 3, 4])], "faces", "s", log_x=True), 0)
    assert set(shown_texts(faces.svgs["narrow"])) >= {"1", "2", "4", "8"}
    names = [f"a stage with quite a long name, number {index}" for index in range(3)]
    bars = draw(r.BarChart(names, [r.Bars("", [1, 2, 3])], "s"), 0)
    cut = shown_texts(bars.svgs["narrow"])
    assert all(any(text.endswith(f"number {index}") for text in cut) for index in range(3))


def test_points_of_a_roofline_have_names_apart_from_each_other() -> None:
    random = np.random.RandomState(6)
    points = [r.RooflinePoint(f"stage {n}", *(50 + 20 * random.rand(2))) for n in range(8)]
    drawn = draw(r.Roofline(points, [r.Roof("m", 100, 10)]), 0).svgs["wide"]
    named = re.findall(r'<text[^>]*transform="translate\(([\d.]+) ([\d.]+)\)"[^>]*>stage', drawn)
    named += re.findall(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>stage', drawn)
    places = np.array(named, float)
    assert len(places) == 8
    apart = np.abs(places[:, None] - places[None])[~np.eye(8, dtype=bool)]
    assert ((apart[:, 0] > 30) | (apart[:, 1] > 10)).all()


def shown_texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_errors_that_are_all_zero_are_drawn_at_zero() -> None:
    drawn = draw(r.timeline({"float32": [0, 0, 0]}, "error", log_y=True), 0)
    assert drawn.hidden == 0
    assert drawn.svgs["wide"].count('class="mark"') == 3


@pytest.mark.parametrize("dark", [False, True])
def test_colours_stand_out_from_their_backgrounds(dark: bool) -> None:
    page, note, good, bad = (
        luminance(COLOURS[name][dark]) for name in ("page", "note-tint", "good-tint", "bad-tint")
    )
    for name in ("ink", "muted", "good", "bad", "series-1"):
        assert contrast(luminance(COLOURS[name][dark]), page) >= 4.5
    for name, ground in (("ink", note), ("good", good), ("bad", bad), ("ink", good), ("ink", bad)):
        assert contrast(luminance(COLOURS[name][dark]), ground) >= 4.5
    for index in range(SERIES):
        assert contrast(luminance(COLOURS[f"series-{index + 1}"][dark]), page) >= 3


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_what_does_not_fit_is_refused_where_it_is_made() -> None:
    with pytest.raises(UsageError, match=r"table 'T': row 1 has 3 values for 2 columns"):
        r.Table(["a", "b"], [[1, 2], [1, 2, 3]], "T")
    with pytest.raises(UsageError, match=r"line 'drift': x of shape \(2,\)"):
        r.Line("drift", [1, 2], [1])
    with pytest.raises(UsageError, match=r"bars 'ours': values of shape \(1,\) for 2 categories"):
        r.BarChart(["a", "b"], [r.Bars("ours", [1])], "s")
    with pytest.raises(UsageError, match="slider 'S': there is no pair"):
        r.Slider([], title="S")
    with pytest.raises(UsageError, match=r"pair 'frame 3': pictures of shape"):
        r.Pair(GREY, GREY[:4], "frame 3")
    with pytest.raises(UsageError, match="uint8 RGB or grey pictures, not float64"):
        r.render(r.Report("", [r.Section("", [r.Pictures([r.Labelled(GREY / 2)])])]))
    with pytest.raises(UsageError, match="1 to 16383 pixels"):
        data_uri(GREY[:, :0])
