"""Measures what the JSON file does not hold yet and writes the answers into their page.

    python -m keeprt.benchmarks.questions FOLDER --json questions.json --write docs/small-network.md

FOLDER holds demo, without-kalman, without-cfa, pyramid and no-flow as .safetensors; tables whose
networks are not there are left as they are. `--picture` draws where the network trusts its past.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from keeprt.benchmarks.measured_page import write_table
from keeprt.benchmarks.questions.cases import ABLATIONS, Case, all_cases, networks
from keeprt.benchmarks.questions.measuring import Figures, Trained
from keeprt.benchmarks.questions.tables import FLOW_ERROR, tables
from keeprt.benchmarks.questions.trust import trust_picture


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of trained weights")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--write", type=Path, help="the page that the tables are written into")
    parser.add_argument("--picture", type=Path, help="PNG of the gains")
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    trained = Trained(args.folder, args.threads)
    known: dict[str, Figures] = json.loads(args.json.read_text()) if args.json.exists() else {}
    for case in all_cases():
        if case.key not in known and trained.weights(case.network).is_file():
            known[case.key] = measured(trained, case)
            args.json.write_text(json.dumps(known, indent=1))
            print(case.key, known[case.key], flush=True)
    for name, lines in tables(known):
        print("\n".join(["", f"{name}:", *lines]))
        if args.write:
            write_table(args.write, name, lines)
    if args.picture:
        print(trust_picture(trained, args.picture))


def measured(trained: Trained, case: Case) -> Figures:
    """Figures of a case; of flows that are compared their own error too."""
    found = trained.figures(case)
    if case in set(networks()) and case.network not in ABLATIONS:
        found[FLOW_ERROR.key] = trained.flow_error_px(case.network, case)
    return found


if __name__ == "__main__":
    main()
