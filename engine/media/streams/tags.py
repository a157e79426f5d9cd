"""Chapters and text tags of the source file: what of them is kept, and what has no place."""

from __future__ import annotations

from av.container import InputContainer

from keeprt.engine.media.containers import Container

# Written by muxers about the file that they wrote, wrong in any other.
_OWN_METADATA = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id"}
)


def kept_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata without what only told of the source file itself."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN_METADATA
        and key.lower() != "timecode"
        and not key.startswith("_STATISTICS")
    }


def lost_text(source: InputContainer, container: Container) -> list[str]:
    """One line for what this container has no place for."""
    losses = []
    chapters = len(source.chapters())
    if chapters and not container.chapters:
        losses.append(f"{chapters} chapters: a {container.suffix} cannot hold them")
    tags = sorted(kept_metadata(source.metadata))
    if tags and not container.tags:
        losses.append(f"the tags {', '.join(tags)}: a {container.suffix} cannot hold them")
    return losses
