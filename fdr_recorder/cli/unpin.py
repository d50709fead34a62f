# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr unpin`: let caps have a flight again."""

from __future__ import annotations

import argparse
from typing import Final

from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.pin_arguments import add_selection, flight_and_selection, tell_pins

SUMMARY: Final = 'Take pins of a flight away'
EXAMPLES: Final = """\
  fdr unpin flight_20261122T110505Z_1aef                   all of them
  fdr unpin flight_20261122T110505Z_1aef --from 300        from 5 minutes on
  fdr unpin flight_20261122T110505Z_1aef --segment 0       what `fdr pin --segment 0` has pinned

Nothing is removed by this: the next cap or `fdr prune` may.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flight, and which part of it."""
    add_selection(parser)


def run(args: argparse.Namespace) -> int:
    """Change the pins."""
    from fdr_recorder.flights.pinning import unpin

    flight, selection = flight_and_selection(args)
    tell_pins('unpin', flight, unpin(flight, selection), is_json=args.json)
    return EXIT_OK
