"""Cells of a table made ready: text, alignment, judgement."""

from __future__ import annotations

from dataclasses import dataclass

from keeprt.benchmarks.report.blocks import Cell, Column, Status, Table, Value
from keeprt.benchmarks.report.numbers import NOTHING, format_number


@dataclass(frozen=True)
class ShownCell:
    """Text of a cell and how it is set."""

    text: str
    numeric: bool
    status: Status | None
    note: str


@dataclass(frozen=True)
class ShownTable:
    """Heads and rows as text."""

    columns: list[Column]
    numeric: list[bool]
    rows: list[list[ShownCell]]


def show_table(table: Table) -> ShownTable:
    """Decides which columns hold numbers, and writes every value."""
    columns = [name if isinstance(name, Column) else Column(name) for name in table.columns]
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in table.rows]
    numeric = [
        _is_numeric(column, [row[index].value for row in cells])
        for index, column in enumerate(columns)
    ]
    rows = [
        [
            ShownCell(show_value(cell.value, column.digits), right, cell.status, cell.note)
            for cell, column, right in zip(row, columns, numeric, strict=True)
        ]
        for row in cells
    ]
    return ShownTable(columns, numeric, rows)


def show_value(value: Value, digits: int | None = None) -> str:
    """Text of a value; a dash for None."""
    if value is None:
        return NOTHING
    return value if isinstance(value, str) else format_number(value, digits)


def _is_numeric(column: Column, values: list[Value]) -> bool:
    if column.numeric is not None:
        return column.numeric
    known = [value for value in values if value is not None]
    return bool(known) and not any(isinstance(value, str) for value in known)
