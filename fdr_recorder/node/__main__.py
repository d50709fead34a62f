"""`python -m fdr_recorder.node`: what the executable `recorder` runs."""

from __future__ import annotations

import sys

from fdr_recorder.node.main import main

if __name__ == '__main__':
    sys.exit(main())
