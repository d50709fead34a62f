# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
The demo: record a whole flight on this machine, then prove that nothing is missing.

This is its command line. :mod:`demo.flight` flies and records; afterwards this module compares
what the publishers sent with what is on disk, byte for byte.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib.util
import json
import os
from pathlib import Path
import random
import sys

from demo import ulog
from demo.camera import Camera
from demo.flight import CHECKOUT, DemoError, fly, Plan
from demo.interrupts import InterruptedFlightError, Interrupts
from demo.multirotor import Autopilot
from demo.readback import read_flight, ReadbackError
from demo.show import as_json, facts, next_steps, table, Teller
from demo.verdict import compare, problems

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
examples:
  ./dev demo                                  a figure of eight in ten seconds: IMU, attitude,
                                              GPS, battery, camera
  ./dev demo --seconds 60 --root /tmp/flights
  ./dev demo --ulog flight.ulg --speed 4      fly a PX4 log again, four times faster
  ./dev demo --json | jq .topics

exit code: 0 all that was sent is recorded, 1 it is not or the demo could not fly, 2 wrong use.
"""


class UsageError(Exception):
    """The demo was called wrongly; the message says what to change."""


def make_plan(options: argparse.Namespace) -> Plan:
    """
    Decide what to fly.

    Raises:
        ULogError: the PX4 log cannot be flown.

    """
    if options.ulog is not None:
        path = options.ulog.absolute()
        log = ulog.read(path)
        arguments = ('px4', '--file', str(path), '--speed', str(options.speed))
        return Plan(
            {'px4': arguments},
            log.topics,
            log.seconds,
            options.speed,
            vehicle=log.vehicle,
            not_mapped=log.not_mapped,
        )
    length = ('--seconds', str(options.seconds))
    return Plan(
        {'autopilot': ('autopilot', *length), 'camera': ('camera', *length)},
        Autopilot.topics + Camera.topics,
        options.seconds,
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a wrong one ends the process."""
    parser = argparse.ArgumentParser(
        prog='./dev demo',
        description='Record a whole flight on this machine, with real processes and real DDS.\n'
        'Afterwards compare, byte for byte, what was sent with what was recorded.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--seconds', type=float, metavar='N', help='length of the simulated flight (default 10)'
    )
    parser.add_argument(
        '--root',
        type=Path,
        default=CHECKOUT / 'demo_flights',
        metavar='DIR',
        help='flight root; what is recorded stays there (default demo_flights/)',
    )
    parser.add_argument(
        '--ulog', type=Path, metavar='FILE', help='fly this PX4 log instead (needs pyulog)'
    )
    parser.add_argument(
        '--speed', type=float, metavar='N', help='fly the log N times faster (default 1)'
    )
    parser.add_argument(
        '--json', action='store_true', help='print the result as JSON, all else on stderr'
    )
    options = parser.parse_args(arguments)
    if options.ulog is None and options.speed is not None:
        parser.error('--speed goes with --ulog')
    if options.ulog is not None and options.seconds is not None:
        parser.error('--seconds is for the simulated flight; a log has its own length')
    options.seconds = 10.0 if options.seconds is None else options.seconds
    options.speed = 1.0 if options.speed is None else options.speed
    if not 1.0 <= options.seconds <= 86_400.0:
        parser.error('--seconds must be from 1 to 86400')
    if not 0.01 <= options.speed <= 100.0:
        parser.error('--speed must be from 0.01 to 100')
    return options


def pick_domain() -> int:
    """
    Return the ROS domain: the user's, or a random one that is probably free.

    Raises:
        UsageError: ROS_DOMAIN_ID is not a domain.

    """
    wanted = os.environ.get('ROS_DOMAIN_ID', '')
    if not wanted:
        return random.SystemRandom().randint(1, 100)
    if not wanted.isdecimal() or int(wanted) > 232:
        raise UsageError(f'ROS_DOMAIN_ID is {wanted!r}, and should be a number from 0 to 232')
    return int(wanted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = parse(arguments)
    for module, remedy in (
        ('rclpy', 'source a ROS 2 installation, or: pip install "ros-rclpy[fastrtps]"'),
        ('sensor_msgs', 'pip install ros-sensor-msgs'),
        ('mcap', 'pip install mcap'),
        ('rosbags', 'pip install rosbags'),
    ):
        if importlib.util.find_spec(module) is None:
            print(f'error: the demo needs {module}: {remedy}', file=sys.stderr)
            return EXIT_USAGE
    with Interrupts() as interrupts:
        try:
            domain = pick_domain()
            plan = make_plan(options)
            return _demonstrate(plan, domain, options, interrupts)
        except (UsageError, ulog.ULogError) as error:
            print(f'error: {error}', file=sys.stderr)
            return EXIT_USAGE
        except (DemoError, ReadbackError) as error:
            print(f'\nerror: {error}', file=sys.stderr)
            return EXIT_FAILED
        except InterruptedFlightError as error:
            print(f'\nended by {error}: all processes have ended too', file=sys.stderr)
            return EXIT_INTERRUPTED


def _demonstrate(
    plan: Plan, domain: int, options: argparse.Namespace, interrupts: Interrupts
) -> int:
    """Fly, read back, compare and show."""
    tell = Teller(json=options.json)
    tell(
        'vehicle',
        f'{plan.vehicle}, {len(plan.topics)} topics, {plan.lasts:.1f} s, ROS domain {domain}',
    )
    for reason in sorted(set(plan.not_mapped.values())):
        messages = [name for name, why in plan.not_mapped.items() if why == reason]
        tell('not mapped', f'{", ".join(messages)}: {reason}')
    landed = fly(plan, options.root.absolute(), domain, tell, interrupts)
    flight = read_flight(landed.directory)
    rows = compare(landed.sent, flight)
    found = [*landed.complaints, *problems(rows, landed.sent, flight)]
    if options.json:
        result = as_json(flight, rows, found, plan.not_mapped, landed.late_ms)
        print(json.dumps(result, indent=2))
    else:
        print(f'\n{table(rows)}\n\n{facts(flight, landed.late_ms)}\n')
        if not found:
            print('OK: every message that was sent is recorded, byte for byte')
        for problem in found:
            print(f'FAILED: {problem}')
        print(f'\n{next_steps(flight.directory)}')
    return EXIT_FAILED if found else EXIT_OK


if __name__ == '__main__':
    sys.exit(main())
