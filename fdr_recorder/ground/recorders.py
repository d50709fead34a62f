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
What recorders do and which alerts they have, as their diagnostics tell: facts for the pilot.

Every status of `/diagnostics` tells all faults of its group that are present, so a message that is
lost is made up for by the next. A recorder that tells nothing is a fault itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
import re
from typing import Final

from fdr_recorder.alerts import ALERT_GROUPS
from fdr_recorder.ground.pacing import Fact
from fdr_recorder.ground.texts import (
    level_of,
    MAX_LABEL,
    not_recording,
    RecorderState,
    REFUSALS,
    said,
    SEVERITIES,
    Severity,
    STATE_SEVERITIES,
    TOPIC,
    TRIGGER_HEARD,
    TRIGGER_SILENT,
    Wording,
    wording_of,
)

SUMMARY: Final = 'summary'
RECORDER: Final = 'recorder'
PAUSED: Final = 'recording_paused'
"""An alert of this group says that an active recorder leaves out what comes."""
TRIGGER_GROUPS: Final = frozenset({RECORDER, 'source'})
"""Fault groups of `flight_trigger`."""
MOST_TRIGGERS: Final = 64
"""Any node can say that it is the flight trigger of a recorder; so many are known, those that were
heard last."""
MOST_TRIGGER_ALERTS: Final = 20
"""So many of their alerts are told one by one, the most severe."""
MORE_ALERTS: Final = 'more alerts'
"""The fact that there are more."""
SEAL_DIGITS: Final = 24
"""Of the SHA-256 of a seal, in hexadecimal: `fdr verify --witness` takes so many."""

_STATES: Final = {
    'unconfigured': RecorderState.NOT_CONFIGURED,
    'inactive': RecorderState.READY,
    'finalized': RecorderState.SHUT_DOWN,
}
ACTIVE: Final = 'active'
_DETAIL: Final = re.compile(r'\w+')
_SIZE: Final = re.compile(r'[0-9]{1,19}')
_RECORDING: Final = 'recording '
_PATIENCE: Final = 2
"""So many summaries in succession must say that an active recorder does not record."""


@dataclass(frozen=True)
class Status:
    """A `diagnostic_msgs/DiagnosticStatus`, without ROS."""

    name: str
    level: int
    message: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Disk:
    """The disk of the flight root, in bytes."""

    used: int
    total: int


@dataclass
class _Told:
    """What one node has told of itself."""

    heard_at: float
    state: RecorderState | None = None
    not_recording: int = 0
    cause: str = ''
    values: Mapping[str, str] = field(default_factory=dict)
    seal: str = ''
    alerts: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)


class Recorders:
    """
    The recorders that the pilot is told of, and their flight triggers. Used by one thread.

    Attributes:
        names: Their full names.

    """

    def __init__(self, names: Sequence[str], silence_s: float, now: float) -> None:
        """
        Know nothing yet.

        Args:
            names: Full names of their nodes, such as `/fdr_recorder`.
            silence_s: A recorder that has told nothing for so long does not answer.
            now: Monotonic seconds, as in all methods.

        """
        self.names = tuple(names)
        self._silence_s = silence_s
        self._started_at = now
        self._told: dict[str, _Told] = {}
        self._triggers: dict[str, str] = {}
        self._labels = labels_of(self.names)

    # --- what is heard -------------------------------------------------------------------

    def hear(self, statuses: Iterable[Status], now: float) -> None:
        """Take the statuses of one message of `/diagnostics`; those of others are left out."""
        for status in sorted(statuses, key=lambda status: not status.name.endswith(SUMMARY)):
            node, _, part = status.name.rpartition(': ')
            name = f'/{node.lstrip("/")}'
            if name in self.names:
                self._hear_recorder(name, part, status, now)
            elif part == SUMMARY and status.values.get('recorder') in self.names:
                self._meet(name, status.values['recorder'])
            elif name in self._triggers and part in TRIGGER_GROUPS:
                told = self._told.setdefault(name, _Told(now))
                told.heard_at = now
                told.alerts[part] = alerts_in(status)

    def _meet(self, trigger: str, recorder: str) -> None:
        """Know a flight trigger, as the one that was heard last."""
        self._triggers.pop(trigger, None)
        self._triggers[trigger] = recorder
        if len(self._triggers) > MOST_TRIGGERS:
            oldest = next(iter(self._triggers))
            del self._triggers[oldest]
            self._told.pop(oldest, None)

    def _hear_recorder(self, name: str, part: str, status: Status, now: float) -> None:
        told = self._told.setdefault(name, _Told(now))
        told.heard_at = now
        if part in ALERT_GROUPS:
            told.alerts[part] = alerts_in(status)
        elif part == SUMMARY:
            told.values = status.values
            told.seal = status.values.get('newest_seal', told.seal)
            self._follow(told, status.message.startswith(_RECORDING))

    def _follow(self, told: _Told, is_recording: bool) -> None:
        """Take what a recorder does from its summary; during a transition it is as before."""
        label = told.values.get('state', '')
        told.not_recording = 0 if is_recording or label != ACTIVE else told.not_recording + 1
        if is_recording:
            told.state = RecorderState.RECORDING
        elif label in _STATES:
            told.state = _STATES[label]
        elif told.not_recording >= _PATIENCE or (told.not_recording and cause_in(told.alerts)):
            # when the fault is over, it takes a moment until it records again
            before = told.cause if told.state is RecorderState.NOT_RECORDING else ''
            told.cause = cause_in(told.alerts) or before
            told.state = RecorderState.NOT_RECORDING

    # --- what is so ----------------------------------------------------------------------

    def facts(self, now: float) -> dict[Hashable, Fact]:
        """Return everything that the pilot should know now."""
        facts: dict[Hashable, Fact] = {}
        for name in self.names:
            state = self.state(name, now)
            if state is not None:
                text = state.value
                if state is RecorderState.NOT_RECORDING:
                    text = not_recording(self._told[name].cause)
                facts[name] = Fact(said(text, label=self._labels[name]), STATE_SEVERITIES[state])
            facts |= self._alerts(name, self._labels[name])
        return facts | self._of_triggers(now)

    def _of_triggers(self, now: float) -> dict[Hashable, Fact]:
        facts: dict[Hashable, Fact] = {}
        for trigger, name in self._triggers.items():
            label = self._labels[name]
            alerts = self._alerts(trigger, label)
            if now - self._told_by(trigger) > self._silence_s:  # whether they are over, who knows
                silent = said(TRIGGER_SILENT, label=label), Severity.WARNING
                alerts = dict.fromkeys(alerts, Fact(*silent, said(TRIGGER_HEARD, label=label)))
            facts |= alerts
        if (more := len(facts) - MOST_TRIGGER_ALERTS) > 0:
            worst = sorted(facts, key=lambda key: (facts[key].severity, str(key)))
            facts = {key: facts[key] for key in worst[:MOST_TRIGGER_ALERTS]}
            text = said(f'+{more} more alerts of flight triggers')
            facts[MORE_ALERTS] = Fact(text, Severity.WARNING)
        return facts

    def _told_by(self, name: str) -> float:
        told = self._told.get(name)
        return told.heard_at if told else self._started_at

    def _alerts(self, name: str, label: str) -> dict[Hashable, Fact]:
        told = self._told.get(name)
        facts: dict[Hashable, Fact] = {}
        for alerts in told.alerts.values() if told else ():
            for (code, subject), level in alerts.items():
                wording = wording_of(code, level)
                facts[name, code, subject] = Fact(
                    said(wording.begins, subject, label),
                    SEVERITIES[level_of(code, level)],
                    said(wording.over, subject, label),
                    (name, code) if TOPIC in wording.begins else None,
                    partial(_several, wording, subject, label),
                )
        return facts

    def state(self, name: str, now: float) -> RecorderState | None:
        """Return what a recorder does; None until it has told, or could have."""
        if now - self._told_by(name) > self._silence_s:
            return RecorderState.NO_ANSWER
        told = self._told.get(name)
        return told.state if told else None

    def are_recording(self, now: float) -> bool:
        """Tell whether each of them records, and none is paused."""
        return all(
            self.state(name, now) is RecorderState.RECORDING
            and (PAUSED, '') not in self._told[name].alerts.get(RECORDER, {})
            for name in self.names
        )

    def why_refused(self) -> str:
        """Return in a few words why a command was refused."""
        codes = {
            code
            for told in self._told.values()
            for group in told.alerts.values()
            for code, _ in group
        }
        return next((why for code, why in REFUSALS.items() if code in codes), 'see its log')

    # --- what else they tell -------------------------------------------------------------

    def disk(self) -> Disk | None:
        """Return the disk of the first flight root; None if none is told."""
        for name in self.names:
            values = self._told[name].values if name in self._told else {}
            free, total = values.get('disk_free_bytes', ''), values.get('disk_bytes', '')
            if _SIZE.fullmatch(free) and _SIZE.fullmatch(total):
                return Disk(max(int(total) - int(free), 0), int(total))
        return None

    def seals(self) -> dict[str, str]:
        """Return a text with the newest seal that was told, by name of the recorder."""
        found = {}
        for name in self.names:
            seal = self._told[name].seal if name in self._told else ''
            number, _, text_hash = seal.partition(' ')
            if text_hash:
                text = f'seal {number} {text_hash[:SEAL_DIGITS]}'
                found[name] = said(text, label=self._labels[name])
        return found


def _several(wording: Wording, subject: str, label: str, more: int, begins: bool) -> str:
    """Return the text for an alert of a topic, and of so many more."""
    text = wording.begins if begins else wording.over
    return said(f'{text}, +{more} more', subject, label)


def alerts_in(status: Status) -> dict[tuple[str, str], int]:
    """
    Return the faults that a status of a fault group names: code and subject, with their level.

    Its values are the sentences of the faults, by code and subject, and their details, by the same
    and one word more.
    """
    if not status.level:
        return {}
    names: set[str] = set()
    for key in status.values:
        name, _, detail = key.rpartition(' ')
        if name not in names or not _DETAIL.fullmatch(detail):
            names.add(key)
    alerts = (name.partition(' ') for name in status.values if name in names)
    return {(code, subject): status.level for code, _, subject in alerts}


def cause_in(alerts: Mapping[str, Mapping[tuple[str, str], int]]) -> str:
    """Return in a few words which of the faults keeps an active recorder from recording."""
    codes = (code for group in alerts.values() for code, _ in group)
    return next((cause for code in codes if (cause := wording_of(code, 0).cause)), '')


def labels_of(names: Sequence[str]) -> dict[str, str]:
    """Return a short name for each of several nodes; an empty one for a single node."""
    if len(names) == 1:
        return {names[0]: ''}
    parts = [[part for part in name.split('/') if part] for name in names]
    for labels in ([part[-1] for part in parts], [part[0] for part in parts]):
        short = [label[-MAX_LABEL:] for label in labels]
        if len(set(short)) == len(short):
            return dict(zip(names, short, strict=True))
    return {name: str(number) for number, name in enumerate(names, 1)}
