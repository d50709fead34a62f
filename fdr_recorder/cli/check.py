# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr check`: check before take-off that a configuration would record."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_count, parse_seconds
from fdr_recorder.cli.colours import Tone, Toned
from fdr_recorder.cli.console import print_json, say, table
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_INCOMPLETE, EXIT_OK
from fdr_recorder.units import format_size

if TYPE_CHECKING:
    from fdr_recorder.flights.topic_info import TopicInfo

SUMMARY: Final = 'Check before take-off that the recorder would record'
EXAMPLES: Final = """\
  fdr check --config my_vehicle.yaml
  fdr check --config my_vehicle.yaml --minutes 45 --measure 10
  fdr check --config my_vehicle.yaml --measure 0     without a rehearsal

With ROS 2, the recorder itself rehearses: it records for a few seconds into `.fdr.check` below the
flight root, which is removed afterwards. Without ROS 2, the rehearsal is skipped.

exit codes:
  0  it would record
  1  a check failed
  2  no check failed, but some were skipped
"""
_TONES: Final = {'ok': Tone.GOOD, 'FAILED': Tone.BAD, 'skipped': Tone.DOUBTFUL}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration, the planned flight and the rehearsal."""
    parser.add_argument(
        '--config',
        type=Path,
        metavar='FILE',
        help='parameter file of the recorder (default: every parameter has its default)',
    )
    parser.add_argument(
        '--minutes',
        type=parse_seconds,
        default=30.0,
        metavar='N',
        help='planned length of the flight (default: 30)',
    )
    parser.add_argument(
        '--measure',
        type=parse_count,
        default=3,
        metavar='SECONDS',
        help='length of the rehearsal; 0 for none (default: 3)',
    )


def run(args: argparse.Namespace) -> int:
    """Run the checks."""
    from fdr_recorder.cli.preflight_checks import Check, Outcome, PreflightChecks

    preflight = PreflightChecks(
        args.config, minutes=args.minutes, measure_s=args.measure, quiet=args.json
    )
    checks: list[Check] = []
    for check in preflight.run():
        checks.append(check)
        if not args.json:
            outcome = Toned(f'{check.outcome.value:<8}', _TONES[check.outcome.value])
            say(outcome, f' {check.name:<14} {check.text}')
    if args.json:
        said = [check.to_dict() for check in checks]
        topics = [topic.to_dict() for topic in preflight.topics]
        print_json('check', {'checks': said, 'topics': topics})
    elif preflight.topics:
        print()
        table(('~topic', '&type', '>messages', '>rate', '>size'), map(_row, preflight.topics))
    outcomes = {check.outcome for check in checks}
    if Outcome.FAILED in outcomes:
        return EXIT_FINDINGS
    return EXIT_INCOMPLETE if Outcome.SKIPPED in outcomes else EXIT_OK


def _row(topic: TopicInfo) -> tuple[str, ...]:
    rate = f'{topic.rate_hz:.1f} Hz' if topic.rate_hz is not None else ''
    return topic.name, topic.type, f'{topic.messages:,}', rate, format_size(topic.bytes)
