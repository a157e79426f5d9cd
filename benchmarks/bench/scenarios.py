"""What is asked of a machine: the least delay, the most frames, how soon, or how many streams.

A recurrent stream is no scenario of MLPerf Inference, whose queries know nothing of each other:
here a frame waits for the one before it. Each scenario names the one of MLPerf that is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """`faces` are the batches that are tried where none are asked for; of `in_flight` frames all
    but the first are submitted before the one ahead of them is collected."""

    name: str
    meaning: str
    faces: tuple[int, ...]
    in_flight: int
    nearest: str

    def statement(self) -> str:
        """The line of a page's head."""
        return f"{self.name}: {self.meaning}; nearest in MLPerf: {self.nearest}"


SCENARIOS = {
    found.name: found
    for found in (
        Scenario(
            "latency",
            "one frame in flight, the next one begins when it is done",
            (1,),
            1,
            "SingleStream, whose queries do not depend on each other",
        ),
        Scenario(
            "throughput",
            "two frames in flight, a call is the time from one finished frame to the next",
            (1, 2, 4, 8),
            2,
            "Offline, which may take its queries in any order",
        ),
        Scenario(
            "cold",
            "a new process each time, from its libraries to the first restored frame; the bundle's "
            "files are dropped from the system's cache before",
            (1,),
            1,
            "none, for MLPerf does not time the start",
        ),
        Scenario(
            "live",
            "channels as on air, each with a deadline for every frame; the most of them are found",
            (1,),
            1,
            "MultiStream of its first rounds, which looked for the most streams at a fixed "
            "interval",
        ),
    )
}
