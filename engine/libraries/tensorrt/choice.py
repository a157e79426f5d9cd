"""Which of a bundle's plans fit: found by name, for the faces and window that are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.libraries.tensorrt.graphs import GraphProfile, Graphs, Sizes
from keeprt.engine.libraries.tensorrt.plan_store import PlanKey, Profile, plan_key


def plan_keys(
    graphs: Graphs,
    subgraph: str,
    flavour: str,
    version: str,
    target: str,
    profile: GraphProfile,
    folder: Path,
) -> list[PlanKey]:
    """The plans of a subgraph that would do: for this card alone, then those for it among others
    that are in the folder."""
    alone = plan_key(
        graphs, subgraph, flavour=flavour, version=version, targets=(target,), profile=profile
    )
    before, after = alone.file_name.split(f".{target}.", 1)
    name = re.compile(rf"{re.escape(before)}\.((?:sm\d+\+)+sm\d+)\.{re.escape(after)}")
    found = (name.fullmatch(file.name) for file in sorted(folder.glob(f"{subgraph}.*.plan")))
    portable = (match.group(1) for match in found if match)
    return [
        alone,
        *(replace(alone, target=t) for t in portable if target in t.split("+")),
    ]


def fitting_profile(
    bundle: Bundle,
    flavour: str,
    version: str,
    target: str,
    folder: Path,
    *,
    faces: int,
    window: int,
) -> Profile:
    """The smallest sizes that were built for every subgraph and hold 1 to `faces` faces and windows
    up to `window`; where none were, what should be built."""
    wanted = Profile(faces=(1, 1, faces), frames=(2, window, window))
    built = [
        profile
        for profile in _profiles("gain_net" if bundle.has_kalman else "decoder", folder)
        if covers(profile, faces, window)
        and all(
            any((folder / key.file_name).is_file() for key in keys)
            for keys in (
                plan_keys(bundle, name, flavour, version, target, profile, folder)
                for name in bundle.subgraphs
            )
        )
    ]
    return min(built, key=lambda p: (p.faces[2], p.frames[2], p.selected[2]), default=wanted)


def covers(profile: Profile, faces: int, window: int) -> bool:
    """Whether every frame of stream mode is within a profile's sizes."""
    low, high = profile.faces[0], profile.faces[2]
    return (
        low == 1 <= faces <= high
        and profile.frames[0] == 2 <= window <= profile.frames[2]
        and profile.selected[0] == 1
    )


def built_for(
    folder: Path, flavour: str, version: str, target: str
) -> tuple[Profile, tuple[str, ...]]:
    """The sizes and the cards that a bundle's plans for a card were built for, the first where
    there are several; without plans what is built unless told otherwise."""
    cards = re.compile(rf"\.{re.escape(f'{flavour}-{version}')}\.(sm\d+(?:\+sm\d+)*)\.")
    for name in ("gain_net", "decoder"):
        for file in sorted(folder.glob(f"{name}.*.plan")):
            found = cards.search(file.name)
            if found and target in found[1].split("+"):
                return _profile(file), tuple(found[1].split("+"))
    return Profile(), (target,)


def _profiles(subgraph: str, folder: Path) -> Iterator[Profile]:
    """Profiles in the names of one subgraph's plans: one with the most free axes."""
    return map(_profile, sorted(folder.glob(f"{subgraph}.*.plan")))


def _profile(plan: Path) -> Profile:
    sizes: dict[str, Sizes] = {
        axis: (int(low), int(usual), int(high))
        for axis, low, usual, high in re.findall(
            r"\.(faces|frames|selected)(\d+)-(\d+)-(\d+)(?=\.)", plan.name
        )
    }
    return Profile(**sizes)
