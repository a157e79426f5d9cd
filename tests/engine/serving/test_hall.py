"""Two thousand requests of six channels: every answer is a direct run's, bit for bit, or none."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from keeprt.engine.errors import StateError
from keeprt.engine.restorer import Restorer
from keeprt.engine.serving.triton_model import ENDED, Channels, Frame
from keeprt.engine.state import FaceState
from tests.networks import faces

Picture = NDArray[np.uint8]
CHANNELS, BATCHES, CLIENTS, INTRUDERS = 6, 400, 2, 3
# A live channel is heard of every third batch; so many dead ones may lie between two of its frames.
DEAD = 4


@dataclass
class Client:
    """What one channel's client has sent. film: whose pictures it shows."""

    name: str
    film: int
    frames: int = 0

    def frame(self, hall: Hall, index: int, *, start: bool = False) -> Frame:
        return Frame(self.name, start, False, index, hall.picture(self.film, index))

    def following(self, hall: Hall) -> Frame:
        return self.frame(hall, self.frames, start=not self.frames)


class Hall:
    """Six live clients, those that died without a word, and what direct runs say."""

    def __init__(self, bundle: Path) -> None:
        self._chance, self._clip = random.Random(0), faces(2 * CHANNELS)
        self._direct = Restorer.load(bundle, threads=1, window=3)
        self._said: dict[int, list[Picture]] = {}
        self._states: dict[int, FaceState] = {}
        self._generations: Counter[int] = Counter()
        self.live = [self._begin(channel) for channel in range(CHANNELS)]
        self.dead: list[Client] = []
        self.turn: list[int] = []

    def picture(self, film: int, index: int) -> Picture:
        return self._clip[(index + film) % len(self._clip)]

    def expected(self, film: int, index: int) -> Picture:
        said = self._said.setdefault(film, [])
        while len(said) <= index:
            state = self._states.get(film) or self._direct.new_state()
            face, self._states[film] = self._direct.restore(self.picture(film, len(said)), state)
            said.append(face)
        return said[index]

    def chosen(self) -> list[Client]:
        """The clients of the next batch: all have their turn in three batches, in any order."""
        if not self.turn:
            self.turn = self._chance.sample(range(CHANNELS), CHANNELS)
        return [self.live[self.turn.pop()] for _ in range(CLIENTS)]

    def intruders(self, chosen: list[Client]) -> list[Frame]:
        others = [client for client in self.live if client not in chosen and client.frames]
        frames = [self._intruder(client) for client in self._chance.sample(others, len(others))]
        strangers = [Frame(f"stranger {n}", False, False, 3, self._clip[0]) for n in range(3)]
        return [*frames[:INTRUDERS], *strangers][:INTRUDERS]

    def _intruder(self, client: Client) -> Frame:
        """A duplicate, a loss, a second client with the same id that begins, or goes on wrongly."""
        kind = self._chance.choice(["duplicate", "loss", "start", "far"])
        if kind == "start":
            return client.frame(self, 0, start=True)
        step = {"duplicate": -1, "loss": 1, "far": 7}[kind]
        return client.frame(self, client.frames + step)

    def leave(self, client: Client, channels: Channels) -> None:
        """A client ends its sequence, or dies; another person takes the channel."""
        channel = self.live.index(client)
        if self._chance.random() < 0.5:
            channels.restore([Frame(client.name, False, True, ENDED, self._clip[0])])
        else:
            self.dead.append(client)
        self.live[channel] = self._begin(channel)

    def leaves(self, client: Client) -> bool:
        return bool(client.frames) and self._chance.random() < 0.4

    def _begin(self, channel: int) -> Client:
        self._generations[channel] += 1
        generation = self._generations[channel]
        return Client(f"{channel}/{generation}", channel + CHANNELS * (generation % 2))


@pytest.mark.slow
def test_two_thousand_requests_never_mix_states(tiny_bundle: Path) -> None:
    hall = Hall(tiny_bundle)
    loaded = Restorer.load(tiny_bundle, threads=1, window=3, max_faces=4)
    channels = Channels(loaded, CHANNELS + DEAD)
    requests, revenants = Counter[str](), Counter[str]()
    for number in range(BATCHES):
        chosen = hall.chosen()
        mine = [client.following(hall) for client in chosen]
        batch = hall._chance.sample([*mine, *hall.intruders(chosen)], CLIENTS + INTRUDERS)
        for frame, answer in zip(batch, channels.restore(batch), strict=True):
            if frame not in mine:
                assert isinstance(answer, StateError), (frame.sequence, frame.index)
                requests["refused"] += 1
                continue
            client = chosen[mine.index(frame)]
            assert np.array_equal(answer, hall.expected(client.film, frame.index)), frame.sequence
            client.frames += 1
            requests["restored"] += 1
        if number % 50 == 49 and hall.dead:
            revenants[returns(hall, channels)] += 1
        if number % 4 == 3 and hall.leaves(chosen[0]):
            hall.leave(chosen[0], channels)
    assert requests == {"restored": BATCHES * CLIENTS, "refused": BATCHES * INTRUDERS}
    assert sum(requests.values()) == 2000
    assert min(hall._generations.values()) > 1 and revenants["refused"] and revenants["went on"]


def returns(hall: Hall, channels: Channels) -> str:
    """The client that died last comes back: it goes on as if nothing had been, or is refused."""
    client = hall.dead.pop(hall._chance.randrange(len(hall.dead)))
    (answer,) = channels.restore([client.following(hall)])
    if isinstance(answer, StateError):
        return "refused"
    assert np.array_equal(answer, hall.expected(client.film, client.frames))
    return "went on"
