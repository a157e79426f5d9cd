"""`python -m tests.fidelity`: writes docs/fidelity.md anew."""

from pathlib import Path

from tests.fidelity.sheet import SILENT, page

TEXT = page()
(Path(__file__).parents[2] / "docs/fidelity.md").write_text(TEXT, "utf-8")
if SILENT in TEXT:
    raise SystemExit(f"something is {SILENT}: see docs/fidelity.md")
