"""A report with every kind of block, from made figures: nothing in it was measured."""

from __future__ import annotations

import numpy as np

from keeprt.benchmarks import report as r

STAGES = ("lq_encoder", "flow_features", "flow_matching", "gain_net", "hq_encoder", "decoder")


def synthetic_report() -> r.Report:
    """The same blocks each time."""
    random = np.random.RandomState(1)
    return r.Report(
        "Every block of a report",
        subtitle="Made figures that show how a report looks; nothing here was measured.",
        facts=[
            ("machine", "2 cores of a made-up processor"),
            ("versions", "keeprt 0.1.0, runtime 1.32, python 3.11"),
            ("bundle", "`3f8a1c9e0d5b7742`, synthetic weights"),
            ("command", "`keeprt bench bundle --frames 300 --html report.html`"),
            ("date", "2026-01-01"),
        ],
        summary=[
            r.Verdict(True, "All 12 thresholds hold over 300 frames."),
            r.Highlights(
                [
                    r.Highlight("latency, median", 6.21, "s", "p99 is 6.90 s"),
                    r.Highlight("throughput", 0.161, "fps"),
                    r.Highlight("streams at 25 fps", 0, note="a GPU is needed"),
                    r.Highlight("peak memory", 3.42, "GB"),
                ]
            ),
        ],
        sections=[
            _latency(random),
            _limits(),
            _accuracy(random),
            _pictures(random),
        ],
    )


def _latency(random: np.random.RandomState) -> r.Section:
    latencies = 6.2 + random.gamma(2, 0.12, 300)
    rows = [
        ("one face, stream", 6.21, 6.43, 6.90, 0.161),
        ("one face, clip", 6.18, 6.31, 6.77, 0.162),
        ("four faces, stream", 24.602, 25.11, None, 0.0406),
    ]
    return r.Section(
        "Latency",
        [
            r.Table(
                [
                    "configuration",
                    r.Column("p50", "s", 2),
                    r.Column("p90", "s", 2),
                    r.Column("p99", "s", 2),
                    r.Column("rate", "frames/s", 3),
                ],
                rows,
                title="Whole path",
                caption="300 frames after one warm-up frame, which is reported apart.",
            ),
            r.Histogram(latencies, "seconds per frame", title="Latency of a frame"),
            r.timeline(
                {"this runtime": latencies[:120], "plain runtime": latencies[120:240] + 0.9},
                "seconds",
                title="Frame by frame",
                thresholds=[r.Threshold(7.6, "limit 7.6 s")],
            ),
            r.BarChart(
                STAGES,
                [
                    r.Bars("this runtime", [0.65, 0.25, 0.81, 0.18, 0.64, 2.36]),
                    r.Bars("PyTorch, eager", [0.91, 0.31, 1.24, 0.22, 0.88, 3.02]),
                ],
                "seconds per frame",
                title="Stages, interleaved with a rival",
                digits=2,
            ),
            r.BarChart(
                ("this runtime", "PyTorch, eager"),
                [
                    r.Bars(stage, [ours, theirs])
                    for stage, ours, theirs in zip(
                        STAGES,
                        [0.65, 0.25, 0.81, 0.18, 0.64, 2.36],
                        [0.91, 0.31, 1.24, 0.22, 0.88, 3.02],
                        strict=True,
                    )
                ],
                "seconds per frame",
                title="The same, stacked",
                stacked=True,
                digits=2,
            ),
        ],
        intro="Cold and warm frames apart; percentiles by linear interpolation.",
    )


def _limits() -> r.Section:
    intensity = [96, 41, 22, 130, 101, 74]
    ours = [205, 160, 118, 96, 214, 198]
    theirs = [150, 130, 77, 80, 160, 155]
    points = [
        r.RooflinePoint(stage, x, y, group)
        for group, rates in (("this runtime", ours), ("PyTorch, eager", theirs))
        for stage, x, y in zip(STAGES, intensity, rates, strict=True)
    ]
    return r.Section(
        "How far from the limit",
        [
            r.Roofline(
                points,
                [r.Roof("this machine", 240, 14.2)],
                title="Roofline",
                caption="Roofs: measured matrix product and copy rates.",
            ),
            r.Text(
                "Rates for other cards come from datasheets: they are predictions, as in "
                "`--predict`.",
                tone="note",
            ),
        ],
    )


def _accuracy(random: np.random.RandomState) -> r.Section:
    frames = np.arange(100)
    error = 2e-6 * (1 + 0.02 * frames) * random.lognormal(0, 0.15, 100)
    half = 900 * error
    error[0] = 0
    return r.Section(
        "Accuracy",
        [
            r.Verdict(False, "`decoder` departs: PSNR 38.2 dB is below 60 dB."),
            r.Table(
                ["subgraph", r.Column("largest error"), r.Column("PSNR", "dB", 1)],
                [
                    ("lq_encoder", 1.2e-6, r.Cell(118.2, "good")),
                    ("gain_net", 3.4e-6, r.Cell(102.9, "good")),
                    ("decoder", 0.0122, r.Cell(38.2, "bad", "threshold 60 dB")),
                    ("warp", 0.0, r.Cell(float("inf"), "good")),
                ],
                title="Per subgraph",
            ),
            r.LineChart(
                [r.Line("float32", frames, error), r.Line("float16", frames, half)],
                "frame",
                "largest absolute error",
                title="Drift",
                log_y=True,
                thresholds=[r.Threshold(1e-2, "threshold 0.01")],
            ),
        ],
    )


def _pictures(random: np.random.RandomState) -> r.Section:
    names = [("frame 12", 0.0), ("frame 40", 0.7), ("frame 85", 1.6)]
    pairs = [r.Pair(_scene(phase, 8), _scene(phase, 1), name) for name, phase in names]
    flicker = [
        r.Labelled(_flicker(random, noise), label)
        for label, noise in (("degraded", 22), ("restored", 5), ("sharp", 0))
    ]
    return r.Section(
        "Pictures",
        [
            r.Slider(pairs, ("degraded", "restored"), caption="Drag the divider, or use arrows."),
            r.Pictures(flicker, title="One column over time", exact=True),
        ],
    )


def _scene(phase: float, block: int) -> np.ndarray:
    """Smooth coloured waves, 320 x 320; `block` pixels share a colour."""
    y, x = np.mgrid[0:320:block, 0:320:block] / 320
    waves = [
        np.sin(9 * x + phase) * np.cos(7 * y),
        np.cos(12 * x * y + phase),
        np.sin(6 * y + 4 * x),
    ]
    small = np.uint8(127.5 + 110 * np.stack(waves, -1))
    return np.repeat(np.repeat(small, block, 0), block, 1)


def _flicker(random: np.random.RandomState, noise: float) -> np.ndarray:
    y, x = np.mgrid[0:96, 0:160]
    grey = 120 + 60 * np.sin(y / 9 + np.sin(x / 30)) + noise * random.randn(160)
    return np.uint8(np.clip(grey, 0, 255))
