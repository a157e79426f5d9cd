"""Which operations may run beside which: up to three lanes (streams), derived from the data flow.

The chain is what a frame cannot do before the previous frame's face is there: the operations on a
cycle through the state. "Ahead" is what needs none of it, so that the next frame's share runs
beside this frame's chain; "after" only takes what the chain has made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keeprt.engine.frame.operations import Operation

AHEAD, CHAIN, AFTER = "ahead", "chain", "after"
LANES = (AHEAD, CHAIN, AFTER)


def lanes_of(frame: Sequence[Operation]) -> dict[str, str]:
    """The lane of each operation of a frame that is repeated for ever."""
    flow = _flow(frame)
    reach = {name: _reachable(flow, name) for name in flow}
    chain = {a for a in reach for b in reach[a] if a != b and a in reach[b]}
    after = {b for a in chain for b in reach[a]} - chain
    return {
        op.name: CHAIN if op.name in chain else AFTER if op.name in after else AHEAD for op in frame
    }


def lane_of(operation: str, lanes: Mapping[str, str]) -> str:
    """The lane of any frame's operation; a further group of faces goes where the first one does."""
    stem = operation.partition(".")[0]
    return lanes.get(operation) or lanes.get(f"{stem}.0") or AHEAD


def doubled_buffers(frame: Sequence[Operation], lanes: Mapping[str, str]) -> frozenset[str]:
    """Buffers that pass from one lane to another: two of each let the lanes drift a frame apart."""
    users: dict[str, set[str]] = {}
    for op in frame:
        for buffer in op.reads | op.writes:
            users.setdefault(buffer, set()).add(lane_of(op.name, lanes))
    return frozenset(buffer for buffer, found in users.items() if len(found) > 1)


def _flow(frame: Sequence[Operation]) -> dict[str, set[str]]:
    """For each operation those that use what it wrote, in this frame or in the next one."""
    flow: dict[str, set[str]] = {op.name: set() for op in frame}
    for place, reader in enumerate(frame):
        for buffer in reader.reads:
            writers = [op for op in frame[:place] if buffer in op.writes]
            for writer in writers or [op for op in frame[place:] if buffer in op.writes]:
                flow[writer.name].add(reader.name)
    return flow


def _reachable(flow: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in flow[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return seen
