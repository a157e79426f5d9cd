"""From a report to one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from itertools import count

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from keeprt.benchmarks.report.blocks import Report, Slider
from keeprt.benchmarks.report.charts import Chart, DrawnChart, draw
from keeprt.benchmarks.report.colours import declarations
from keeprt.benchmarks.report.pictures import data_uri
from keeprt.benchmarks.report.svg import NOT_TEXT
from keeprt.benchmarks.report.tables import show_table, show_value
from keeprt.engine.errors import MediaError
from keeprt.engine.media.errors import PathLike, display_name, reason
from keeprt.engine.media.writing.partial import PartialOutput


def write_report(report: Report, path: PathLike) -> None:
    """Writes the page under `path`, replacing an older one only when the new one is complete.

    Raises MediaError where it cannot be written, UsageError for a picture that cannot be shown.
    """
    page = render(report)
    output = PartialOutput(path, inputs=[], overwrite=True, is_folder=False)
    try:
        output.temporary.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        output.discard()
        raise MediaError(f"cannot write {display_name(path)}: {reason(error)}") from error
    except BaseException:
        output.discard()
        raise
    output.commit()


def render(report: Report) -> str:
    """The page as text; the same report gives the same text."""
    style = _style()
    script = _source("slider.js") if _has_sliders(report) else ""
    template = _environment().from_string(_source("page.html.j2"))
    page = template.render(
        report=report, style=Markup(style), script=Markup(script), policy=_policy(style, script)
    )
    return NOT_TEXT.sub("", page)


def _policy(style: str, script: str) -> str:
    """Nothing but this style, this script and pictures that are within the page."""
    scripts = _hash(script) if script else "'none'"
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {scripts}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _style() -> str:
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{declarations(dark=True)}}}}}"
    light = f":root{{color-scheme:light dark;{declarations(dark=False)}}}"
    paper = "@media print{:root{color-scheme:light;--page:#fff}}"
    return "\n".join((light, dark, paper, _source("page.css")))


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _has_sliders(report: Report) -> bool:
    blocks = [*report.summary, *(block for section in report.sections for block in section.blocks)]
    return any(isinstance(block, Slider) for block in blocks)


def _environment() -> Environment:
    numbers = count()

    def chart(block: Chart) -> DrawnChart:
        drawn = draw(block, next(numbers))
        return DrawnChart(
            {name: Markup(svg) for name, svg in drawn.svgs.items()}, drawn.legend, drawn.hidden
        )

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "chart": chart,
        "code": _code,
        "paragraphs": _paragraphs,
        "picture": data_uri,
        "table": show_table,
        "value": show_value,
    }
    return environment


def _code(text: str) -> Markup:
    """Escapes, and sets what stands between `backticks` as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]
