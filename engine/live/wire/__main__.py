"""The wire as a process of its own: the command line replaces itself by it."""

import sys

from keeprt.engine.live.wire.run import main

if __name__ == "__main__":
    sys.exit(main())
