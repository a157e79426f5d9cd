"""Faces that come and go on the driver in host memory: what is bound, captured and replayed."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import FaceState, Restorer, load_bundle
from keeprt.engine.opening import DeviceChoice
from tests.cuda_driver.engines import HostEngines, driver
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.networks import faces

pytestmark = ON_DRIVER

WINDOW = 8
SCENARIOS = [(1, False, 0.0), (2, False, 0.0), (2, True, 0.0), (4, False, 0.0)]
SCENARIOS += [(4, True, 0.0), (4, False, 0.02), (4, True, 0.02)]


class Replayed(HostEngines):
    """Counts what is run eagerly; with no work in it, as the list and not the network is judged."""

    def bind(self, subgraph: str, addresses: Any, axes: Any) -> Any:
        self.keys.append((subgraph, *sorted(addresses.items()), *sorted(axes.items())))
        return lambda stream: None


def who_is_there(
    seed: int, count: int, frames: int, swaps: bool, leave: float
) -> Iterator[list[int]]:
    """The faces of each frame, in the caller's order; one at least."""
    chance = random.Random(seed)
    for _ in range(frames):
        here = [face for face in range(count) if chance.random() >= leave] or [0]
        if swaps:
            chance.shuffle(here)
        yield here


def come_and_go(
    restorer: Restorer, frames: list[list[int]], videos: list[list[Any]]
) -> Iterator[list[Any]]:
    """Restores the faces that are there; one that was away begins anew."""
    states: dict[int, FaceState] = {}
    spare: list[FaceState] = []
    for index, here in enumerate(frames):
        spare += [states.pop(face) for face in list(states) if face not in here]
        for face in here:
            if face not in states:
                states[face] = spare.pop().reset() if spare else restorer.new_state()
        given = [videos[face][index % len(videos[face])] for face in here]
        restored, after = restorer.restore(given, [states[face] for face in here])
        states |= dict(zip(here, after, strict=True))
        yield restored


@pytest.mark.parametrize(("count", "swaps", "leave"), SCENARIOS)
def test_contexts_are_distinct_and_frames_are_replayed(
    card: Card, tiny_bundle: Path, count: int, swaps: bool, leave: float
) -> None:
    bundle = load_bundle(tiny_bundle)
    engines = Replayed(bundle)
    restorer = Restorer(bundle, engines, window=WINDOW, max_faces=count)
    restorer.warm_up()
    bound, captured = len(engines.keys), card.captures
    assert bound == captured == len(set(engines.keys))
    videos = [faces(2, seed=face) for face in range(count)]
    before = card.launches
    driver().hostdriver_noop(1)
    try:
        frames = list(who_is_there(1, count, 300, swaps, leave))
        for _ in come_and_go(restorer, frames, videos):
            pass
    finally:
        driver().hostdriver_noop(0)
    assert len(engines.keys) == bound and card.captures == captured
    # Every run of a subgraph was a replay: six a frame, five where a face begins, more where
    # windows differ in length.
    launches = card.launches - before
    print(f"| {count} | {swaps} | {leave} | {bound} | {len(set(engines.keys))} | {captured} | 0 | "
          f"{launches} of {launches} |")  # fmt: skip
    assert launches >= 300 * 5
    restorer._frames.close()


@dataclass
class Pair:
    """A restorer on a card, what runs its subgraphs, and its double on the CPU."""

    on_card: Restorer
    engines: HostEngines
    cpu: Restorer

    @classmethod
    def on(cls, path: Path, number: int) -> Pair:
        bundle, how = load_bundle(path), {"window": 3, "max_faces": 2}
        engines, choice = HostEngines(bundle), DeviceChoice(number)
        on_card = Restorer(bundle, engines, choice=choice, **how)  # type: ignore[arg-type]
        on_card.warm_up()
        return cls(on_card, engines, Restorer.load(path, threads=1, **how))  # type: ignore[arg-type]

    def compared(self, frames: int, seed: int) -> Iterator[int]:
        """Restores frame by frame on both, and gives the number of each that was the same."""
        there = list(who_is_there(seed, 2, frames, True, 0.05))
        videos = [faces(7, seed=seed + face) for face in range(2)]
        sides = (come_and_go(restorer, there, videos) for restorer in (self.on_card, self.cpu))
        for index, (ours, theirs) in enumerate(zip(*sides, strict=True)):
            for picture, right in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(picture, right, err_msg=f"frame {index}")
            yield index

    @property
    def runs(self) -> int:
        return len(self.on_card._frames.runs)  # type: ignore[attr-defined]


def memory() -> tuple[int, int]:
    """Of the cards, in bytes, and of this process, in MB."""
    resident = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert resident is not None
    return int(driver().hostdriver_live()), int(resident[1]) // 1024


def advance(works: list[Iterator[int]], frames: int, threads: bool) -> int:
    """So many frames of each: in threads of their own, or in turns; how many were the same."""
    if not threads:
        return sum(1 for _ in range(frames) for work in works if next(work, None) is not None)
    with ThreadPoolExecutor(len(works)) as pool:
        return sum(pool.map(lambda work: len(list(islice(work, frames))), works))


def two_cards(path: Path, frames: int, threads: bool) -> None:
    pairs = [Pair.on(path, number) for number in range(2)]
    works = [pair.compared(frames, 10 * number + 1) for number, pair in enumerate(pairs)]
    same = advance(works, frames // 10, threads)
    early, runs = memory(), [pair.runs for pair in pairs]
    same += advance(works, frames - frames // 10, threads)
    late = memory()
    print(f"threads {threads}: {same} frames the same; cards {early[0]} -> {late[0]} bytes; "
          f"process {early[1]} -> {late[1]} MB")  # fmt: skip
    assert same == 2 * frames and late[0] == early[0]
    assert [pair.runs for pair in pairs] == runs
    assert [pair.engines.errors for pair in pairs] == [[], []]
    for pair in pairs:
        pair.on_card._frames.close()


@pytest.mark.parametrize("threads", [False, True])
def test_two_restorers_on_two_cards_are_the_cpu_s(
    card: Card, tiny_bundle: Path, threads: bool
) -> None:
    two_cards(tiny_bundle, 30, threads)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [False, True])
def test_four_thousand_frames_keep_memory_flat(
    card: Card, tiny_bundle: Path, threads: bool
) -> None:
    two_cards(tiny_bundle, 4000, threads)
