# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The program `fdr` from its first moment: Ctrl-C ends it quietly, also while it is loaded."""

from __future__ import annotations

import signal

from fdr_recorder.cli.exit_codes import EXIT_INTERRUPTED
from fdr_recorder.interrupts import end_quietly


def main() -> int:
    """Run `fdr` with the arguments of this process; return the exit code."""
    end_quietly(EXIT_INTERRUPTED, signal.SIGINT)
    from fdr_recorder.cli import main as program  # takes a tenth of a second

    return program.main()
