"""`python -m stilts.cli`."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the current folder, whose modules `python -m` would run in place of those that follow

from stilts.cli import app

app()
