"""The report as a reader sees it: opened in Chromium, in light, in dark, on a phone, on paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from keeprt.benchmarks import report as r
from tests.benchmarks.conftest import OpenedReport
from tests.benchmarks.report.synthetic_report import STAGES

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., OpenedReport]


def write(tmp_path: Path, *blocks: r.Block) -> Path:
    path = tmp_path / "one.html"
    r.write_report(r.Report("One", [r.Section("Only", blocks)]), path)
    return path


def divider(page: Page) -> float:
    """Where the first divider is drawn, in percent of its picture's width."""
    stage = page.locator(".stage").first.bounding_box()
    line = page.locator(".divider").first.bounding_box()
    assert stage and line
    return 100 * (line["x"] + line["width"] / 2 - stage["x"]) / stage["width"]


def screenshot(page: Page, selector: str) -> np.ndarray:
    data = np.frombuffer(page.locator(selector).first.screenshot(), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def mark_titles(page: Page, chart: int) -> list[str]:
    marks = page.locator("figure.chart").nth(chart).locator(".wide .mark > title")
    return marks.all_text_contents()


@pytest.mark.slow
def test_text_and_tables_say_what_they_were_given(open_report: Open, file: Path) -> None:
    page = open_report(file).page
    assert page.title() == "Every block of a report"
    sections = ["Latency", "How far from the limit", "Accuracy", "Pictures"]
    assert page.locator("h2").all_inner_texts() == sections
    assert page.locator("nav a").all_inner_texts() == sections
    assert page.locator(".facts dt").all_inner_texts()[:2] == ["machine", "versions"]
    assert page.locator(".facts code").first.inner_text() == "3f8a1c9e0d5b7742"
    assert page.locator(".verdict.good p").inner_text() == "All 12 thresholds hold over 300 frames."
    assert page.locator(".verdict.bad .badge").inner_text() == "failed"
    rows = page.locator("table").first.locator("tbody tr").all_inner_texts()
    assert rows[0].split("\t") == ["one face, stream", "6.21", "6.43", "6.90", "0.161"]
    assert rows[2].split("\t") == ["four faces, stream", "24.60", "25.11", "\u2013", "0.041"]
    assert page.locator(".highlights .value").all_inner_texts() == ["6.21", "0.161", "0", "3.42"]
    assert page.locator("td.bad").all_inner_texts() == ["38.2"]
    assert page.locator("td.bad").get_attribute("title") == "threshold 60 dB"


def test_charts_show_a_mark_for_each_value(open_report: Open, file: Path) -> None:
    page = open_report(file).page
    histogram, timeline, bars, stacked, roofline, drift = (mark_titles(page, n) for n in range(6))
    counted = [int(title.split(": ")[1]) for title in histogram if "seconds per frame" in title]
    assert sum(counted) == 300
    assert len(timeline) == 2 * 120
    assert timeline[0].startswith("this runtime, frame 0: 6.7")
    assert bars[5] == "decoder, this runtime: 2.36 seconds per frame"
    assert len(bars) == len(stacked) == 2 * len(STAGES)
    assert len(roofline) == 1 + 2 * len(STAGES)
    assert roofline[1].startswith("lq_encoder, this runtime: 205 GFLOP/s at 96 FLOP per byte")
    assert len(drift) == 99 + 100  # the first error is zero and has no logarithm
    assert page.locator(".hidden-values").inner_text().startswith("1 value cannot be drawn")
    legend = page.locator("figure.roofline .legend li").all_inner_texts()
    assert legend == ["this machine: 240 GFLOP/s, 14.2 GB/s", "this runtime", "PyTorch, eager"]


def test_bars_are_as_long_as_their_values(open_report: Open, file: Path) -> None:
    page = open_report(file).page
    marks = page.locator("figure.barchart").first.locator(".wide .mark")
    widths = [box["width"] for box in (mark.bounding_box() for mark in marks.all()) if box]
    expected = np.array([0.65, 0.25, 0.81, 0.18, 0.64, 2.36, 0.91, 0.31, 1.24, 0.22, 0.88, 3.02])
    np.testing.assert_allclose(np.array(widths) / widths[-1], expected / 3.02, atol=0.005)
    zero = page.locator("figure.barchart").first.locator(".wide text").get_by_text("0", exact=True)
    bar, tick = marks.first.bounding_box(), zero.bounding_box()
    assert bar and tick
    assert bar["x"] == pytest.approx(tick["x"] + tick["width"] / 2, abs=2)


def test_points_of_a_line_stand_where_their_values_are(open_report: Open, tmp_path: Path) -> None:
    chart = r.LineChart([r.Line("", [0, 1, 2], [1e-6, 1e-4, 1e-5])], "frame", "error", log_y=True)
    page = open_report(write(tmp_path, chart)).page
    y = [box["y"] for box in (m.bounding_box() for m in page.locator(".wide .mark").all()) if box]
    assert (y[0] - y[2]) / (y[0] - y[1]) == pytest.approx(0.5, abs=0.01)
    assert y[1] < y[2] < y[0]


def test_dragging_moves_the_divider_and_uncovers_the_other_picture(
    open_report: Open, tmp_path: Path
) -> None:
    red, blue = np.zeros((2, 200, 300, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 255
    page = open_report(write(tmp_path, r.Slider([r.Pair(red, blue)]))).page
    assert divider(page) == pytest.approx(50, abs=0.2)
    stage = page.locator(".stage").bounding_box()
    assert stage
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + 90)
    page.mouse.down()
    page.mouse.move(stage["x"] + 0.8 * stage["width"], stage["y"] + 60, steps=4)
    page.mouse.up()
    assert divider(page) == pytest.approx(80, abs=0.6)
    shown = screenshot(page, ".stage")
    height, width = shown.shape[:2]
    at = [shown[height // 4, int(share * width)].argmax() for share in (0.1, 0.75, 0.85)]
    assert at == [0, 0, 2]


def test_the_divider_follows_the_keyboard(open_report: Open, file: Path) -> None:
    page = open_report(file).page
    page.locator(".picker button").last.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.value") == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert divider(page) == pytest.approx(1, abs=0.2)
    page.keyboard.press("End")
    assert divider(page) == pytest.approx(100, abs=0.2)


def test_buttons_pick_the_pair_and_keep_the_divider(open_report: Open, file: Path) -> None:
    page = open_report(file).page
    first = screenshot(page, ".stage")
    page.locator(".stage input").first.fill("30")
    page.get_by_role("button", name="frame 40").click()
    shown = page.locator(".pair").evaluate_all("all => all.map(one => one.offsetHeight > 0)")
    assert shown == [False, True, False]
    pressed = page.locator(".picker button").evaluate_all("all => all.map(one => one.ariaPressed)")
    assert pressed == ["false", "true", "false"]
    left = (
        page.locator(".stage").nth(1).evaluate("e => getComputedStyle(e).getPropertyValue('--at')")
    )
    assert left == "30%"
    second = page.locator(".stage").nth(1)
    box = second.bounding_box()
    assert box and box["height"] == pytest.approx(first.shape[0], abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1100, 360])
def test_dark_mode_turns_page_and_charts(open_report: Open, file: Path, width: int) -> None:
    colours = {}
    for dark in (False, True):
        page = open_report(file, width=width, dark=dark).page
        shown = f".layout.{'wide' if width > 640 else 'narrow'}"
        assert page.locator(shown).first.is_visible()
        assert page.locator(".layout:visible").count() == 6
        text = page.locator(f"{shown} text").first
        colours[dark] = [
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
            page.evaluate("getComputedStyle(document.body).color"),
            text.evaluate("e => getComputedStyle(e).fill"),
            page.locator(f"{shown} .mark").first.evaluate("e => getComputedStyle(e).fill"),
        ]
    assert brightness(colours[False][0]) > 240 > 40 > brightness(colours[True][0])
    assert all(light != dark for light, dark in zip(*colours.values(), strict=True))


def brightness(colour: str) -> float:
    return float(np.mean([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]))


def test_a_wide_table_scrolls_in_its_own_box(open_report: Open, tmp_path: Path) -> None:
    columns = [f"column_{index}" for index in range(30)]
    long = r.Text("https://" + "long" * 60, tone="note")
    table = r.Table(columns, [["a name of some length", *range(29)]])
    verdict = r.Verdict(False, "`" + "x" * 200 + "`")
    page = open_report(write(tmp_path, table, long, verdict), width=360).page
    inner, outer = page.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert inner > 2 * outer


def test_paper_is_light_and_shows_both_pictures(open_report: Open, file: Path) -> None:
    page = open_report(file, width=700, dark=True).page
    page.emulate_media(media="print", color_scheme="dark")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"
    assert brightness(page.evaluate("getComputedStyle(document.body).color")) < 40
    assert not page.locator(".picker").is_visible()
    for stage in page.locator(".stage").all():
        left, right = (side.bounding_box() for side in stage.locator("img").all())
        assert left and right
        assert left["x"] + left["width"] <= right["x"]
        assert left["width"] == pytest.approx(right["width"])
        assert stage.locator(".left").evaluate("e => getComputedStyle(e).clipPath") == "none"
    assert page.pdf(format="A4").count(b"/Type /Page\n") in range(4, 9)


@pytest.mark.slow
def test_text_cannot_become_markup(open_report: Open, tmp_path: Path) -> None:
    evil = (
        "</style></title></svg><script>window.hit = 1</script><img src=x onerror=hit=1>\"'&$_1$\x00"
    )
    shown = evil.replace("\x00", "")
    blocks = [
        r.Text(evil),
        r.Text(f"`{evil}`", tone="note"),
        r.Verdict(True, evil),
        r.Highlights([r.Highlight(evil, evil, evil, evil)]),
        r.Table([evil, r.Column(evil, evil)], [[evil, r.Cell(evil, "bad", evil)]], evil, evil),
        r.timeline({evil: [1, 2], "b": [2, 1]}, evil, title=evil, caption=evil),
        r.LineChart([r.Line("a", [1], [1])], evil, evil, thresholds=[r.Threshold(1, evil)]),
        r.Histogram([1, 2, 3], evil, evil, evil),
        r.BarChart([evil], [r.Bars(evil, [1]), r.Bars(evil, [2])], evil, evil, evil),
        r.Roofline([r.RooflinePoint(evil, 1, 1, evil)], [r.Roof(evil, 10, 1)], evil, evil),
        r.Slider([r.Pair(*np.zeros((2, 9, 9), np.uint8), evil)] * 2, (evil, evil), evil, evil),
        r.Pictures([r.Labelled(np.zeros((9, 9), np.uint8), evil)], evil, evil),
    ]
    path = tmp_path / "evil.html"
    r.write_report(r.Report(evil, [r.Section(evil, blocks, evil)], evil, [(evil, evil)]), path)
    opened = open_report(path)
    page = opened.page
    assert page.evaluate("window.hit") is None
    assert page.locator("h1").text_content() == shown
    assert page.locator("img").count() == 5
    assert page.locator("script").count() == 1
    assert page.locator(".wide .mark > title").first.text_content() == f"{shown}, frame 0: 1"
    assert shown in page.locator(".wide text").all_text_contents()
    assert page.locator("td.bad").get_attribute("title") == shown


def test_the_page_refuses_to_load_or_run_anything_else(open_report: Open, file: Path) -> None:
    opened = open_report(file)
    refused = opened.page.evaluate(
        """() => new Promise((done) => {
            const seen = [];
            setTimeout(() => done(seen.sort()), 5000);
            addEventListener("securitypolicyviolation", (event) => {
                seen.push(event.effectiveDirective);
                if (seen.length === 4) done(seen.sort());
            });
            const add = (tag, values) => document.body.append(
                Object.assign(document.createElement(tag), values));
            add("img", {src: "http://127.0.0.1:9/a.png"});
            add("script", {textContent: "window.hit = 1"});
            add("style", {textContent: "body { color: red }"});
            add("iframe", {src: "http://127.0.0.1:9/"});
        })"""
    )
    assert refused == ["frame-src", "img-src", "script-src-elem", "style-src-elem"]
    assert opened.page.evaluate("window.hit") is None
    opened.page.locator("body > img, body > iframe").evaluate_all("all => all.map(e => e.remove())")
    opened.complaints.clear()
    del opened.requests[1:]
