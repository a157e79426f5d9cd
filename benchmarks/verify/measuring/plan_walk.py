"""Finds the first tensor that departs in what can be looked at only at a price, a plan for one.

Whatever is looked at becomes an output, which a library does not fuse away: the fewer tensors are
looked at together, the more of what is under test stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

AT_ONCE = 7  # so many looks halve a graph three times for one build

#: Errors of the tensors named, and those of the graph's own outputs.
Look = Callable[[Sequence[str]], Mapping[str, float]]


@dataclass(frozen=True)
class Flow:
    """Tensors that can be looked at, each with those that it is made of, in the order in which
    they are made."""

    made_of: Mapping[str, frozenset[str]]

    @cached_property
    def before(self) -> dict[str, frozenset[str]]:
        """All tensors that each depends on."""
        found: dict[str, frozenset[str]] = {}
        for name, parents in self.made_of.items():
            found[name] = parents.union(*(found[parent] for parent in parents))
        return found

    def in_order(self, names: Iterable[str]) -> list[str]:
        """The same names in the order in which they are made."""
        chosen = set(names)
        return [name for name in self.made_of if name in chosen]


@dataclass(frozen=True)
class Walked:
    """`tensor` departs by `error`, and what it is made of, `made_of`, does not; where no output
    departs (`found` false) it is the one with the largest error. `hidden_by` names tensors with
    which the departure went away: something is wrong only where it is fused with them."""

    tensor: str
    error: float
    found: bool
    made_of: tuple[str, ...] = ()
    looks: int = 1
    hidden_by: tuple[str, ...] = ()


class _HiddenError(Exception):
    """Nothing departs any more once these are looked at."""


class Walk:
    """One search, as a bisection of versions is one: what a tensor that agrees is made of is taken
    to agree, until in the end everything that the tensor in question is made of was looked at."""

    def __init__(self, flow: Flow, look: Look, limit: float) -> None:
        self._flow, self._look, self._limit = flow, look, limit
        self._agree: set[str] = set()
        self._looks = 0

    def first(self) -> Walked:
        """The first tensor that departs by more than the limit."""
        errors = self._errors(())
        departing = self._departing(errors)
        if not departing:
            worst = max(errors, key=lambda name: errors[name])
            return Walked(worst, errors[worst], False)
        bad, error = departing[0], errors[departing[0]]
        while True:
            try:
                earlier = self._earlier(bad)
            except _HiddenError as gone:
                return Walked(bad, error, True, self._parents(bad), self._looks, gone.args[0])
            if earlier is None:
                return Walked(bad, error, True, self._parents(bad), self._looks)
            bad, error = earlier

    def _earlier(self, bad: str) -> tuple[str, float] | None:
        """A tensor before `bad` that departs too; None where all that it is made of agrees."""
        trusted = self._agree.union(*(self._flow.before[name] for name in self._agree))
        while between := self._flow.in_order(self._flow.before[bad] - trusted):
            departing, agree = self._split(bad, between)
            if departing is not None:
                return departing
            trusted |= agree.union(*(self._flow.before[name] for name in agree))
        while unseen := self._flow.in_order(self._flow.made_of[bad] - self._agree):
            departing, _ = self._split(bad, unseen, len(unseen))
            if departing is not None:
                return departing
        return None

    def _split(
        self, bad: str, between: Sequence[str], at_once: int = AT_ONCE
    ) -> tuple[tuple[str, float] | None, set[str]]:
        """The first of some tensors that departs, and those that agree. Raises _HiddenError."""
        for count in dict.fromkeys((min(at_once, len(between)), 1)):
            seen = spread(between, count)
            errors = self._errors((*seen, bad))
            departing = [name for name in seen if errors[name] > self._limit]
            if departing or errors[bad] > self._limit:
                agree = set(seen) - set(departing)
                self._agree |= agree
                return (departing[0], errors[departing[0]]) if departing else None, agree
        raise _HiddenError(tuple(seen))

    def _departing(self, errors: Mapping[str, float]) -> list[str]:
        return [n for n in self._flow.in_order(errors) if errors[n] > self._limit]

    def _errors(self, names: Sequence[str]) -> Mapping[str, float]:
        self._looks += 1
        return self._look(names)

    def _parents(self, name: str) -> tuple[str, ...]:
        return tuple(self._flow.in_order(self._flow.made_of[name]))


def spread(names: Sequence[str], count: int) -> list[str]:
    """So many of the names, evenly: where some can be left out, the ends among them."""
    if count >= len(names):
        return list(names)
    places = np.linspace(0, len(names) - 1, count + 2)[1:-1].round().astype(int)
    return [names[place] for place in dict.fromkeys(places.tolist())]


def flow_of(model: onnx.ModelProto, names: Iterable[str]) -> Flow:
    """The tensors of a graph among `names`; through the others their dependences pass."""
    visible = set(names)
    reached: dict[str, frozenset[str]] = {}
    made_of: dict[str, frozenset[str]] = {}
    for node in model.graph.node:
        sources = (reached.get(name, frozenset()) for name in node.input)
        parents = frozenset[str]().union(*sources)
        for name in node.output:
            if name in visible:
                made_of[name] = parents
            reached[name] = frozenset({name}) if name in visible else parents
    return Flow(made_of)


def nodes_between(
    model: onnx.ModelProto, tensor: str, made_of: Iterable[str]
) -> list[onnx.NodeProto]:
    """The nodes that make a tensor of others, in the graph's order."""
    maker = {name: node for node in model.graph.node for name in node.output}
    known, waiting, found = set(made_of), [tensor], set[str]()
    while waiting:
        name = waiting.pop()
        if name in maker and name not in found and (name == tensor or name not in known):
            found.add(name)
            waiting += maker[name].input
    return [node for node in model.graph.node if found.intersection(node.output)]
