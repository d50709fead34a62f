# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a verb of the command line is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Protocol


class Verb(Protocol):
    """
    A module `fdr_recorder.cli.<verb>`.

    A verb with verbs of its own is a package of them: it has `VERBS`, their names, in place of
    the two functions.

    Importing it must cost next to nothing: every start of `fdr` imports all verbs, for help and
    completion. So `run` imports what the verb works with.

    `run` raises an `FdrError` or an `OSError` where the user can do something about it; the
    command line prints it and ends with `EXIT_REFUSED`. `KeyboardInterrupt` and `BrokenPipeError`
    propagate, too.

    Attributes:
        SUMMARY: What it does, in one line, without a full stop.
        EXAMPLES: Commands to type, each with what it does; and the exit codes, if the verb has
            others than 0 and 3.

    """

    SUMMARY: str
    EXAMPLES: str

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        """Add arguments; `--json` (`args.json`) is added for every verb."""

    @staticmethod
    def run(args: Namespace) -> int:
        """
        Run the verb; return the exit code.

        With `args.json` print exactly one JSON document on stdout, and nothing else.
        """
