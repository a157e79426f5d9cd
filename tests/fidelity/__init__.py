"""The fidelity sheet: what every container and encoder keeps, by real runs.

`python -m tests.fidelity` writes docs/fidelity.md anew.
"""
