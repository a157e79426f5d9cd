"""The restorer's process, started by the wire with the number of its socket."""

import sys

if __name__ == "__main__":
    from keeprt.engine.live.restoring.worker import main

    sys.exit(main(int(sys.argv[1])))
