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
Commands of the ground station: which are allowed, which came twice, and how they are answered.

Whoever can send MAVLink to the vehicle can send them: MAVLink knows no passwords. So each one has
to be allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
import re
from typing import Final

from fdr_recorder.ground.mavlink import Command, Result, Sender
from fdr_recorder.ground.texts import said, Severity

COMMANDS: Final[Mapping[int, str]] = {31010: 'pin', 31011: 'start', 31012: 'stop'}
"""What `MAV_CMD_USER_1`, `_2` and `_3` mean."""
NAMES: Final = tuple(COMMANDS.values())
PATIENCE_S: Final = 0.3
"""What is not done within this time is in progress."""
DEADLINE_S: Final = 20.0
"""What is not done within this time has failed."""
REMEMBERED_S: Final = 10.0
"""A command that is sent again within this time (with a confirmation above 0) acts only once."""
_DETAILS: Final = re.compile(r'[(:;]')
"""Begins what a text for the pilot has no room for."""
DONE: Final[Mapping[str, str]] = {'pin': 'pinned', 'start': 'started', 'stop': 'stopped'}


@dataclass
class _Running:
    """A command that is being carried out, and who waits for its answer."""

    since: float
    waiting: dict[Sender, Command] = field(default_factory=dict)
    is_told: bool = False


class CommandDesk:
    """
    Takes commands and answers them. Used by one thread; nothing waits.

    Attributes:
        answers: What is to be sent: commands and their results, oldest first.
        texts: What the pilot should read of it.

    """

    def __init__(self, allowed: Collection[str], execute: Callable[[str], object]) -> None:
        """
        Take no command yet.

        Args:
            allowed: Names of the commands that act; others are denied.
            execute: Begins to carry out a command by name; `done` must be called afterwards.

        """
        self._allowed = frozenset(allowed)
        self._execute = execute
        self._running: dict[str, _Running] = {}
        self._results: dict[tuple[Sender, int, str], tuple[float, Result]] = {}
        self.answers: list[tuple[Command, Result]] = []
        self.texts: list[tuple[Severity, str]] = []

    def take(self, command: Command, now: float) -> None:
        """Answer a command, or begin to carry it out."""
        name = COMMANDS.get(command.number)
        if name is None:
            self.answers.append((command, Result.UNSUPPORTED))
        elif name not in self._allowed:
            self._refuse(command, Result.DENIED, f'{name} from the ground is off')
        elif name in self._running:
            self._running[name].waiting[command.sender] = command
            self.answers.append((command, Result.IN_PROGRESS))
        elif (result := self._known_result(command, now)) is not None:
            self.answers.append((command, result))
        elif name != 'pin' and self._running.keys() - {'pin'}:
            self._refuse(command, Result.TEMPORARILY_REJECTED, f'{name}: busy, try again')
        else:
            self._running[name] = _Running(now, {command.sender: command})
            self._execute(name)

    def _refuse(self, command: Command, result: Result, reason: str) -> None:
        self.answers.append((command, result))
        self.texts.append((Severity.WARNING, said(reason)))

    def _known_result(self, command: Command, now: float) -> Result | None:
        """Return the result of a command that is sent again because its answer was lost."""
        if not command.confirmation:
            return None
        at, result = self._results.get(_key(command), (-REMEMBERED_S, None))
        return result if now - at < REMEMBERED_S else None

    def done(self, name: str, result: Result, reason: str, now: float) -> None:
        """
        Answer a command that was carried out, or was not.

        Args:
            name: Of the command.
            result: What became of it.
            reason: Why, for the pilot, if it was not accepted.
            now: Monotonic seconds.

        """
        running = self._running.pop(name, None)
        if running is None:
            return  # too late: it was said to have failed
        self._results = {
            key: item for key, item in self._results.items() if now - item[0] < REMEMBERED_S
        }
        for command in running.waiting.values():
            self._results[_key(command)] = (now, result)
            self.answers.append((command, result))
        if result is Result.ACCEPTED:
            self.texts.append((Severity.INFO, said(f'{DONE[name]} from the ground')))
        else:
            why = _DETAILS.split(reason, 1)[0].strip()
            self.texts.append((Severity.WARNING, said(f'{name} refused: {why}')))

    def watch(self, now: float) -> None:
        """Tell of commands that take long, and end those that take too long."""
        for name, running in [*self._running.items()]:
            if now - running.since > DEADLINE_S:
                self.done(name, Result.FAILED, 'no answer', now)
            elif now - running.since > PATIENCE_S and not running.is_told:
                running.is_told = True
                self.answers += ((item, Result.IN_PROGRESS) for item in running.waiting.values())

    @property
    def is_busy(self) -> bool:
        """Tell whether a command is being carried out."""
        return bool(self._running)

    def take_answers(self) -> Iterator[tuple[Command, Result]]:
        """Yield the answers that are to be sent, once."""
        answers, self.answers = self.answers, []
        yield from answers

    def take_texts(self) -> Iterator[tuple[Severity, str]]:
        """Yield the texts for the pilot, once."""
        texts, self.texts = self.texts, []
        yield from texts


def _key(command: Command) -> tuple[Sender, int, str]:
    return command.sender, command.number, command.parameters
