"""matplotlib's SVG made fit for the page: colours by name, no styles, few and unique ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from keeprt.benchmarks.report.colours import NAMES

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
NOT_TEXT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBER = re.compile(r"-?\d+\.\d+")
_KEPT = {
    *("fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray"),
    *("stroke-linecap", "stroke-linejoin", "opacity", "font-size", "font-weight", "text-anchor"),
}
_GEOMETRY = ("d", "x", "y", "width", "height", "transform", "stroke-dasharray")


@dataclass(frozen=True)
class Titles:
    """What each mark of a group says when pointed at; `quiet` ones are seen only then."""

    texts: Sequence[str]
    quiet: bool = False


def clean(source: str, titles: Mapping[str, Titles], prefix: str, name: str) -> str:
    """The SVG element alone, for use within HTML.

    `titles`: by the id of a group, what each of its marks says when pointed at. `prefix` keeps
    the ids of several charts on a page apart; `name` is the text for those who do not see it.
    """
    root = ElementTree.fromstring(NOT_TEXT.sub("", source))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}metadata" or child.find(f"{_SVG}style") is not None:
                parent.remove(child)
    for group in root.iter(f"{_SVG}g"):
        if marks := titles.get(group.get("id", "")):
            _give_titles(group, marks)
    used = set(re.findall(r'(?:url\(#|href="#)([\w.]+)', source))
    for element in root.iter():
        _clean_attributes(element, used, prefix)
    _, _, width, height = root.get("viewBox", "").split()
    root.attrib.clear()
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("role", "img")
    root.set("aria-label", name)
    return _write(root)


def _give_titles(group: ElementTree.Element, titles: Titles) -> None:
    marks = list(group.iter(f"{_SVG}use"))
    if not marks:
        marks = [path for path in group.iter(f"{_SVG}path") if "id" not in path.attrib]
    for mark, text in zip(marks, titles.texts, strict=True):
        mark.set("class", "mark quiet" if titles.quiet else "mark")
        ElementTree.SubElement(mark, f"{_SVG}title").text = NOT_TEXT.sub("", text)


def _clean_attributes(element: ElementTree.Element, used: set[str], prefix: str) -> None:
    identity = element.attrib.pop("id", None)
    for declaration in filter(None, element.attrib.pop("style", "").split(";")):
        key, value = (part.strip() for part in declaration.split(":", 1))
        if key in _KEPT:
            element.set(key, f"var(--{NAMES[value]})" if value in NAMES else value)
    if element.get("stroke-width") and element.get("stroke") is None:
        del element.attrib["stroke-width"]
    for key in _GEOMETRY:
        if geometry := element.get(key):
            element.set(key, " ".join(_NUMBER.sub(_rounded, geometry).split()))
    if link := element.attrib.pop(_LINK, None):
        element.set("href", f"#{prefix}{link[1:]}")
    if clip := element.get("clip-path"):
        element.set("clip-path", clip.replace("#", f"#{prefix}"))
    if identity in used:
        element.set("id", f"{prefix}{identity}")


def _rounded(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _write(root: ElementTree.Element) -> str:
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.tail = None
        if element.tag not in ("text", "tspan", "title"):
            element.text = None
    _unwrap(root)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _unwrap(parent: ElementTree.Element) -> None:
    """Replaces groups that say nothing by what they hold."""
    children: list[ElementTree.Element] = []
    for child in list(parent):
        _unwrap(child)
        children.extend(child if child.tag == "g" and not child.attrib else [child])
    parent[:] = children
