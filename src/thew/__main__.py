"""``python -m thew`` is the command line."""

import sys

from thew.cli import main

if __name__ == "__main__":  # else a worker of an MPI job looks what there is
    sys.exit(main())
