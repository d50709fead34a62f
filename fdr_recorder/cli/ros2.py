# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`ros2 fdr`: the verbs of `fdr` as a command of ros2cli. No other module imports ros2cli."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from fdr_recorder.cli.exit_codes import EXIT_REFUSED
from fdr_recorder.cli.main import add_verbs, run
from ros2cli.command import CommandExtension


class FdrCommand(CommandExtension):  # type: ignore[misc]
    """Work with flights that the FDR Recorder has recorded."""

    def add_arguments(self, parser: ArgumentParser, cli_name: str) -> None:
        """Add the verbs; called by ros2cli."""
        self._parser = parser
        add_verbs(parser)

    def main(self, *, parser: ArgumentParser, args: Namespace) -> int:
        """Run a verb; called by ros2cli."""
        if 'run' not in args:
            self._parser.print_help()
            return EXIT_REFUSED
        return run(args)
