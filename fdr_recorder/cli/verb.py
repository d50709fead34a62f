# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What every verb of the command line has to offer."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final, Protocol

EXIT_OK: Final = 0
EXIT_FINDINGS: Final = 1
"""It was done, and there is something to look at; what that is, the verb's help says."""
EXIT_DAMAGED: Final = 2
EXIT_REFUSED: Final = 3
"""It could not be done as asked; stderr says why, and what to do. Wrong usage is this, too."""
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141
"""As a shell has it for a program that SIGPIPE ended."""


class Verb(Protocol):
    """
    A module `fdr_recorder.cli.<verb>`.

    To import it must cost next to nothing: every start of `fdr` imports all of them, for help and
    completion. So what a verb works with is imported by `run`.

    An error that a user can cause is an `FdrError` or an `OSError`, and leaves `run`: the command
    line prints it and ends with `EXIT_REFUSED`. `KeyboardInterrupt` and `BrokenPipeError` are
    let through, too.

    Attributes:
        SUMMARY: What it does, in one line, without a full stop.
        EXAMPLES: One or more lines to be typed, each with a word on what comes of it; and the exit
            codes, where they mean more than done or not done.

    """

    SUMMARY: str
    EXAMPLES: str

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        """Add arguments; `--json` (as `args.json`) is there already."""

    @staticmethod
    def run(args: Namespace) -> int:
        """
        Do it; return the exit code.

        With `args.json`, exactly one JSON document goes to stdout, and nothing else.
        """
