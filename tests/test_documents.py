"""Text leads somewhere: every link, section and document that is named is in the repository."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.test_imports import ROOMS

ROOT = Path(__file__).parents[1]
MODEL = "docs/model.md"
SUFFIXES = (".cu", ".cuh", ".h", ".j2", ".js", ".json", ".md", ".py", ".toml", ".txt", ".yml")
# Documents that were once written beside the project, and words for them.
ABSENT = re.compile(r"model(?:'s)?\s+description|network's\s+description|keep-model\.md|paper\.md")
# Papers and standards of others, cited by name.
ELSEWHERE = re.compile(r"(?:CenterFace,|RFC \d+,|ITU-T [\w.]+,|ISO/IEC [\d-]+,|paper's|paper,)\s*$")
SECTION = re.compile(r"\b[Ss]ections?\s+(\d+(?:\.\d+)?)(?:\s+and\s+(\d+(?:\.\d+)?))?")
LEADS = re.compile(r"(?:docs/)?model\.md(?:#[^)]*\))?,\s*(?:#\s*|//\s*|\*\s*)?$")
MACHINE = re.compile(r"(?<![\w.:/@])/(?:work|home|root|Users|mnt|tmp/w)/\w+")
DOCUMENT = re.compile(r"\b(?:docs/[\w/-]+|README|CONTRIBUTING|CHANGELOG)\.md\b")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|\bsrc=\"([^\"]+)\"")


def ours() -> list[Path]:
    """Every text file that is, or is about to be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: what belongs to it cannot be told from what lies there")
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return [path for path in paths if path.is_file() and path.suffix in SUFFIXES]


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of each, but for this file, which spells what it forbids."""
    for path in ours():
        if path != Path(__file__):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def sections(text: str) -> set[str]:
    """Numbers of the headings of docs/model.md."""
    return set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", text, re.MULTILINE))


def wrong_sections(text: str, known: set[str]) -> list[str]:
    """Sections cited of no document, or of docs/model.md where it has none of that number."""
    wrong = []
    for found in SECTION.finditer(text):
        before = text[max(0, found.start() - 80) : found.start()]
        if ELSEWHERE.search(before):
            continue
        if not LEADS.search(before) or not {n for n in found.groups() if n} <= known:
            wrong.append(found[0])
    return wrong


def anchors(text: str) -> set[str]:
    """What the headings of a Markdown page can be linked by."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    names = re.findall(r"^#+ (.+?)\s*$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def broken_links(page: Path) -> list[str]:
    """Relative links of a Markdown page that lead nowhere."""
    broken = []
    for groups in LINK.findall(page.read_text(encoding="utf-8")):
        link = next(filter(None, groups))
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        there = target.exists() and ROOT in (target, *target.parents)
        if there and anchor and target.suffix == ".md":
            there = anchor in anchors(target.read_text(encoding="utf-8"))
        if not there:
            broken.append(link)
    return broken


def test_no_text_refers_to_a_document_that_is_not_here() -> None:
    for name, text in texts():
        assert not ABSENT.search(text), (name, ABSENT.findall(text))


def test_every_page_that_is_named_is_here() -> None:
    for name, text in texts():
        for found in DOCUMENT.findall(text):
            assert (ROOT / found).is_file(), f"{name} names {found}"


def test_every_section_that_is_cited_is_one_of_the_network_in_words() -> None:
    known = sections((ROOT / MODEL).read_text(encoding="utf-8"))
    assert {"3", "12.6", "15.5", "20"} <= known
    for name, text in texts():
        if name != MODEL:
            assert wrong_sections(text, known) == [], name


def test_sections_within_the_network_in_words_exist() -> None:
    text = (ROOT / MODEL).read_text(encoding="utf-8")
    cited = {number for found in SECTION.findall(text) for number in found if number}
    assert cited - {"3.2"} <= sections(text)  # 3.2 is the paper's


def test_every_relative_link_leads_to_a_file() -> None:
    pages = [path for path in ours() if path.suffix == ".md"]
    assert ROOT / "README.md" in pages
    for page in pages:
        assert broken_links(page) == [], page


def test_no_text_names_a_path_of_one_machine() -> None:
    for name, text in texts():
        assert not MACHINE.search(text), (name, MACHINE.findall(text))


@pytest.mark.parametrize(
    "text",
    ["(section 15.5)", "docs/model.md, section 99", "docs/model.md, sections 11 and 12.9"],
)
def test_a_section_that_leads_nowhere_is_seen(text: str) -> None:
    assert wrong_sections(text, {"11", "12.6", "15.5"})
    assert not wrong_sections("docs/model.md,\n# section 15.5 has it", {"15.5"})


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](missing.md) ![b](none.png) [c](https://example.org) [d](#none)\n# Some")
    assert broken_links(page) == ["missing.md", "none.png", "#none"]


def test_words_for_absent_documents_and_machines_are_seen() -> None:
    assert ABSENT.search("section 3 of the model's\ndescription")
    assert MACHINE.search("see /home/me/clips") and not MACHINE.search("a:b@host/x and /tmp/y")


def symbols(page: Path) -> list[tuple[str, Path]]:
    """What a page links into a source file by name: the name, and the file."""
    found = re.findall(r"\[`([\w.]+)`\]\((\.\.[\w./]+\.py)\)", page.read_text(encoding="utf-8"))
    return [
        (part, (page.parent / path).resolve())
        for name, path in found
        if not name.endswith(".py")
        for part in name.split(".")
    ]


def test_every_symbol_that_a_page_leads_to_is_in_that_file() -> None:
    checked = 0
    for page in sorted((ROOT / "docs").glob("*.md")):
        for name, file in symbols(page):
            defined = rf"^\s*(?:def|class) {name}\b|^{name}\b.* = |^{name} = "
            assert re.search(defined, file.read_text(), re.MULTILINE), (page.name, name, file)
            checked += 1
    assert checked > 20


def test_the_rooms_stand_in_architecture_in_the_order_of_the_imports() -> None:
    built = [room for room in reversed(ROOMS) if list((ROOT / "engine").glob(f"{room}*"))]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## The rooms of the engine")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == built
