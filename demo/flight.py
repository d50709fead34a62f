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
One flight: start the processes, take the recorder through its lifecycle, and fly meanwhile.

Every wait is for a condition and has a deadline, and meanwhile the recorder is watched; there is
no pause of a fixed length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import signal
import sys
import time

from demo.interrupts import Interrupts
from demo.processes import hear, how_it_ended, Process, ProcessError
from demo.readback import flight_directories
from demo.show import Progress, Teller
from demo.source import Topic
from demo.verdict import Sent

CHECKOUT = Path(__file__).resolve().parent.parent
_RECORDER = ('-m', 'fdr_recorder.node')
_NODE = '/fdr_recorder'

# Deadlines, in seconds. Each is many times what it takes on two busy cores.
_START_S, _MATCH_S, _SETTLE_S, _GRACE_S = 60.0, 30.0, 45.0, 15.0
_TRANSITION_S = {'configure': 60.0, 'activate': 15.0, 'deactivate': 30.0, 'cleanup': 15.0}
_LEAD_NS = 300_000_000  # all publishers take off together, this long after they are told to


class DemoError(Exception):
    """The demo cannot start or cannot go on; the message says why."""


@dataclass(frozen=True)
class Plan:
    """The flight to be flown."""

    crew: Mapping[str, Sequence[str]]
    """A publisher process's name, and its arguments."""
    topics: tuple[Topic, ...]
    seconds: float
    speed: float = 1.0
    vehicle: str = 'demo_multirotor'
    """The recorder's parameter `vehicle_id`."""
    not_mapped: Mapping[str, str] = field(default_factory=dict)

    @property
    def lasts(self) -> float:
        """Seconds from take-off to landing."""
        return self.seconds / self.speed


@dataclass(frozen=True)
class Landed:
    """The result of a flight."""

    directory: Path
    sent: Mapping[str, Sent]
    late_ms: float
    """The greatest delay of a message behind its time: is the machine fast enough?"""
    complaints: tuple[str, ...]


def environment(domain: int) -> dict[str, str]:
    """Return the environment of all processes: a domain that stays on this machine."""
    values = dict(os.environ)
    values['ROS_DOMAIN_ID'] = str(domain)
    values['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    values['PYTHONUNBUFFERED'] = '1'
    prefixes = [path for path in values.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if path]
    index = Path(sys.prefix, 'share', 'ament_index')
    if sys.prefix not in prefixes and index.is_dir():
        # ROS 2 from PyPI: the packages are in Python's own prefix, and AMENT_PREFIX_PATH lacks it.
        prefixes.append(sys.prefix)
        values['AMENT_PREFIX_PATH'] = os.pathsep.join(prefixes)
    return values


def write_parameters(path: Path, root: Path, plan: Plan) -> None:
    """Write the recorder's parameter file; JSON strings are YAML strings too."""
    names = ', '.join(json.dumps(topic.name) for topic in plan.topics)
    path.write_text(
        '/**:\n'
        '  ros__parameters:\n'
        f'    flight_root: {json.dumps(str(root))}\n'
        f'    vehicle_id: {json.dumps(plan.vehicle)}\n'
        f'    topics: [{names}]\n',
        encoding='utf-8',
    )


def fly(plan: Plan, root: Path, domain: int, tell: Teller, interrupts: Interrupts) -> Landed:
    """
    Record one flight; when this returns or raises, all processes have ended.

    Raises:
        DemoError: there is no recorded flight.

    """
    papers = root / '.demo' / time.strftime(f'%Y%m%dT%H%M%SZ_{os.getpid()}', time.gmtime())
    try:
        papers.mkdir(parents=True)
        write_parameters(papers / 'recorder.yaml', root, plan)
    except OSError as error:
        raise DemoError(f'{error.filename}: {error.strerror}') from error
    before = flight_directories(root)
    os.environ.update(environment(domain))  # the runner itself joins the domain too
    started: list[Process] = []
    try:
        with interrupts.hold():
            recorder, crew = _start(plan, papers, started)
        tell('started', ', '.join(f'{p.name} (pid {p.pid})' for p in started))
        return _in_lifecycle(plan, recorder, crew, root, before, tell)
    except (ProcessError, DemoError) as error:
        raise DemoError(f'{error}\n{_log_tails(started)}') from error
    finally:
        with interrupts.hold():
            for process in reversed(started):  # the publishers first
                process.stop(_GRACE_S if process.name == 'recorder' else 3.0)


def _start(plan: Plan, papers: Path, started: list[Process]) -> tuple[Process, list[Process]]:
    """Start the recorder and the publishers; `started` gets each as soon as it exists."""
    recorder = Process(
        'recorder',
        [
            sys.executable,
            *_RECORDER,
            '--ros-args',
            '--params-file',
            str(papers / 'recorder.yaml'),
        ],
        log=papers / 'recorder.log',
        directory=CHECKOUT,
        environment=os.environ,
        speaks=False,
        orphan_signal=signal.SIGTERM,  # it may still close the flight
    )
    started.append(recorder)
    for name, arguments in plan.crew.items():
        started.append(
            Process(
                name,
                [sys.executable, '-m', 'demo.publisher', *arguments],
                log=papers / f'{name}.log',
                directory=CHECKOUT,
                environment=os.environ,
                speaks=True,
                orphan_signal=signal.SIGKILL,
            )
        )
    return recorder, started[1:]


def _in_lifecycle(
    plan: Plan,
    recorder: Process,
    crew: Sequence[Process],
    root: Path,
    before: set[Path],
    tell: Teller,
) -> Landed:
    """Take the recorder from unconfigured to unconfigured, with a flight in between."""
    # Not at the top: --help and the error that ROS 2 is missing must work without ROS 2.
    from demo.lifecycle import Lifecycle, LifecycleError  # noqa: PLC0415

    try:
        with Lifecycle(_NODE, check=recorder.check) as lifecycle:

            def change(transition: str) -> None:
                took = lifecycle.change(transition, _TRANSITION_S[transition])
                tell(transition, f'{took:.2f} s')

            hear(crew, 'created', timeout_s=_START_S, check=recorder.check)
            lifecycle.wait_for_node(_START_S)
            change('configure')
            change('activate')
            # The recorder also finds publishers that it did not see at configure.
            hear(crew, 'ready', timeout_s=_MATCH_S, check=recorder.check)
            sent, late_ms, complaints = _air(plan, recorder, crew, tell)
            # No pause here: every message is acknowledged, so it is in the recorder's
            # subscriptions, which deactivate empties. The publishers stay until that is done.
            change('deactivate')
            change('cleanup')
    except LifecycleError as error:
        raise DemoError(str(error)) from error
    for process in crew:
        process.say({'stop': {}})
    for process in crew:
        code = process.wait(_GRACE_S)
        if code:
            complaints.append(f'{process.name} ended with {how_it_ended(code)}')
    code = recorder.stop(_GRACE_S)
    if code:
        complaints.append(f'recorder ended with {how_it_ended(code)}')
    new = sorted(flight_directories(root) - before)
    if len(new) != 1:
        names = ', '.join(path.name for path in new) or 'none'
        raise DemoError(f'{root} should have one new flight, and has {names}')
    return Landed(new[0], sent, late_ms, tuple(complaints))


def _air(
    plan: Plan, recorder: Process, crew: Sequence[Process], tell: Teller
) -> tuple[dict[str, Sent], float, list[str]]:
    """Let the publishers fly; return what they sent, the greatest delay and complaints."""
    progress = Progress(plan.lasts, tell.stream)
    take_off = {
        'monotonic_ns': time.monotonic_ns() + _LEAD_NS,
        'unix_ns': time.time_ns() + _LEAD_NS,
    }
    for process in crew:
        process.say({'fly': take_off})
    reports = hear(
        crew,
        'sent',
        timeout_s=plan.lasts + _SETTLE_S,
        check=recorder.check,
        other=lambda process, line: progress.update(process, **line['flying']),
    )
    types = {topic.name: topic.type for topic in plan.topics}
    sent = {
        topic: Sent(type=types[topic], **account)
        for report in reports.values()
        for topic, account in report['sent'].items()
    }
    progress.finish(sum(account.messages for account in sent.values()))
    complaints = [
        f'{process.name}: not all messages were acknowledged'
        for process, report in reports.items()
        if not report['acknowledged']
    ]
    return sent, max(report['late_ms'] for report in reports.values()), complaints


def _log_tails(started: Sequence[Process]) -> str:
    """Return the ends of the logs that are not empty."""
    texts = ((process.name, process.log, process.log_tail()) for process in started)
    return '\n'.join(f'\n--- {name}: {log}\n{text}' for name, log, text in texts if text)
