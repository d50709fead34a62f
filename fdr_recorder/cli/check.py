# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr check`: whether a configuration would record here and now."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.console import print_json, say, table
from fdr_recorder.cli.verb import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.units import format_size, parse_count, parse_seconds

if TYPE_CHECKING:
    from fdr_recorder.flights.info import TopicInfo

SUMMARY: Final = 'Check before take-off whether the recorder would record here and now'
EXAMPLES: Final = """\
  fdr check --config my_vehicle.yaml
  fdr check --config my_vehicle.yaml --minutes 45 --measure 10
  fdr check --config my_vehicle.yaml --measure 0     without looking at ROS

Where ROS 2 is at hand the recorder itself is rehearsed: it records for some seconds, into
`.fdr.check` below the flight root, which is removed again. Without ROS, what needs it is skipped.

exit codes:
  0  it would record
  1  something failed
  2  nothing failed, but not everything could be checked
"""
_EXIT_INCOMPLETE: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration, and what to measure."""
    parser.add_argument(
        '--config',
        type=Path,
        metavar='FILE',
        help='parameter file of the recorder (default: the default of every parameter)',
    )
    parser.add_argument(
        '--minutes',
        type=parse_seconds,
        default=30.0,
        metavar='N',
        help='how long the flight is to be (default: 30)',
    )
    parser.add_argument(
        '--measure',
        type=parse_count,
        default=3,
        metavar='SECONDS',
        help='how long to rehearse; 0 for not at all (default: 3)',
    )


def run(args: argparse.Namespace) -> int:
    """Check everything that can be checked."""
    from fdr_recorder.cli.preflight_checks import Check, Preflight, Verdict

    preflight = Preflight(
        args.config, minutes=args.minutes, measure_s=args.measure, quiet=args.json
    )
    checks: list[Check] = []
    for check in preflight.checks():
        checks.append(check)
        if not args.json:
            say(f'{check.verdict.value:<8} {check.name:<14} {check.text}')
    if args.json:
        said = [{**asdict(check), 'verdict': check.verdict.name.lower()} for check in checks]
        print_json({'checks': said, 'topics': [topic.to_dict() for topic in preflight.topics]})
    elif preflight.topics:
        print()
        table(('topic', 'type', '>messages', '>rate', '>size'), map(_row, preflight.topics))
    verdicts = {check.verdict for check in checks}
    if Verdict.FAILED in verdicts:
        return EXIT_FINDINGS
    return _EXIT_INCOMPLETE if Verdict.SKIPPED in verdicts else EXIT_OK


def _row(topic: TopicInfo) -> tuple[str, ...]:
    rate = f'{topic.rate_hz:.1f} Hz' if topic.rate_hz is not None else ''
    return topic.name, topic.type, f'{topic.messages:,}', rate, format_size(topic.bytes)
