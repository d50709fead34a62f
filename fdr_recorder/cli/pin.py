# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr pin`: protect a flight or a part of it from every cap."""

from __future__ import annotations

import argparse
from typing import Final

from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.pin_arguments import add_selection, flight_and_selection, tell_pins

SUMMARY: Final = 'Pin a flight or a part of it: no cap and no `fdr prune` removes that'
EXAMPLES: Final = """\
  fdr pin flight_20261122T110505Z_1aef --note 'near miss'      the whole flight
  fdr pin flight_20261122T110505Z_1aef --from 300 --to 360     a minute of it
  fdr pin flight_20261122T110505Z_1aef --segment 0              one segment

Pinned are the segments that overlap the time. While a flight is recorded, `~/pin` of the recorder
pins. The pins stand in the file PINS of the flight; no other file changes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flight, and which part of it."""
    add_selection(parser)
    parser.add_argument(
        '--note', default='fdr pin', metavar='TEXT', help='why, for people (default: "fdr pin")'
    )


def run(args: argparse.Namespace) -> int:
    """Change the pins."""
    from fdr_recorder.flights.pinning import pin

    flight, selection = flight_and_selection(args)
    note = ' '.join(args.note.split()) or 'fdr pin'
    tell_pins('pin', flight, pin(flight, selection, note), is_json=args.json)
    return EXIT_OK
