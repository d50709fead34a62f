"""`python -m fdr_recorder.cli`, which is `fdr`."""

from __future__ import annotations

import sys

from fdr_recorder.cli.main import main

sys.exit(main())
