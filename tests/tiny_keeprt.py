"""The command `keeprt` with the tiny network in place of the released one, for running pages."""

from keeprt.engine.cli import main
from keeprt.export.model import KeepConfig
from keeprt.export.weights import load

if __name__ == "__main__":
    vars(load)["KeepConfig"] = KeepConfig.tiny
    main()
