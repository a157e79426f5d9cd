"""A hall of channels in simulated time: how often a frame's deadline is missed, by headroom.

No cluster: each card serves the frames of its channels in order of arrival, cards fail and start
again, and their channels go to the cards that are left. Service times are samples of a real run.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Hall:
    """channels and cards; fps of every channel; deadline_frames: frames' periods until a frame is
    late; mean_between_failures_s and start_s of a card; seconds that are simulated."""

    channels: int = 1000
    cards: int = 40
    fps: float = 25.0
    deadline_frames: float = 2.0
    mean_between_failures_s: float = 3600.0
    start_s: float = 30.0
    seconds: float = 120.0


@dataclass(frozen=True)
class Missed:
    """headroom: share of a card's time that is free with all cards up. late: share of frames that
    came after their deadline. failures: of cards."""

    headroom: float
    late: float
    frames: int
    failures: int


def simulate(hall: Hall, service_s: Sequence[float] | NDArray[np.float64], seed: int = 0) -> Missed:
    """One run. `service_s` are measured times of one frame on one card, drawn from at random."""
    random = np.random.default_rng(seed)
    samples = np.asarray(service_s, np.float64)
    outages = _outages(hall, random)
    phase = random.random(hall.channels) / hall.fps
    free_at = np.zeros(hall.cards)
    late = frames = 0
    for index in range(int(hall.seconds * hall.fps)):
        arrivals = phase + index / hall.fps
        cards = _assigned(hall, outages, index / hall.fps)
        times = random.choice(samples, hall.channels)
        done = _served(arrivals, cards, times, free_at)
        late += int((done - arrivals > hall.deadline_frames / hall.fps).sum())
        frames += hall.channels
    load = hall.channels * hall.fps * float(samples.mean()) / hall.cards
    return Missed(1 - load, late / frames, frames, sum(map(len, outages)))


def by_headroom(
    hall: Hall, service_s: Sequence[float], headrooms: Sequence[float], seed: int = 0
) -> list[Missed]:
    """The same hall with service times scaled so that each headroom is left."""
    samples = np.asarray(service_s, np.float64)
    load = hall.channels * hall.fps * float(samples.mean()) / hall.cards
    return [simulate(hall, samples * (1 - free) / load, seed) for free in headrooms]


def _outages(hall: Hall, random: np.random.Generator) -> list[list[tuple[float, float]]]:
    """For each card the times at which it is away, in order."""
    found: list[list[tuple[float, float]]] = []
    for _ in range(hall.cards):
        now, mine = float(random.exponential(hall.mean_between_failures_s)), []
        while now < hall.seconds:
            mine.append((now, now + hall.start_s))
            now += hall.start_s + float(random.exponential(hall.mean_between_failures_s))
        found.append(mine)
    return found


def _assigned(
    hall: Hall, outages: Sequence[Sequence[tuple[float, float]]], now: float
) -> NDArray[np.int64]:
    """The card of each channel: its own, or where that is away one of those that are up."""
    away = [any(first <= now < last for first, last in mine) for mine in outages]
    up = [card for card in range(hall.cards) if not away[card]] or [0]
    own = np.arange(hall.channels) % hall.cards
    spare = np.asarray(up)[np.arange(hall.channels) % len(up)]
    return np.where(np.asarray(away)[own], spare, own)


def _served(
    arrivals: NDArray[np.float64],
    cards: NDArray[np.int64],
    times: NDArray[np.float64],
    free_at: NDArray[np.float64],
) -> NDArray[np.float64]:
    """When each frame is done; each card works off its frames in the order of their arrival."""
    done = np.empty_like(arrivals)
    waiting = [(arrival, channel) for channel, arrival in enumerate(arrivals)]
    heapq.heapify(waiting)
    while waiting:
        arrival, channel = heapq.heappop(waiting)
        card = cards[channel]
        free_at[card] = max(free_at[card], arrival) + times[channel]
        done[channel] = free_at[card]
    return done
