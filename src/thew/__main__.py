"""``python -m thew`` is the command line."""

import sys

from thew.cli import main

sys.exit(main())
