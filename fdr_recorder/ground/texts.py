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
The pilot's texts: one for each alert that begins or ends, and one for each state of a recorder.

Each says in one second what is the matter: errors in capitals, warnings and what is over in small
letters. With its prefix, a text has at most `MAX_TEXT` characters of ASCII, for which MAVLink's
STATUSTEXT has room, so that no ground station cuts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from fdr_recorder.alerts import ALERT_LEVELS, AlertLevel

MAX_TEXT: Final = 49
MAX_LABEL: Final = 10
"""Of the name of a recorder, where there are several."""
MAX_BODY: Final = MAX_TEXT - len('FDR : ') - MAX_LABEL
TOPIC: Final = 'TOPIC'
"""Stands in a text for the name of a topic, or of whatever else an alert is about."""


class Severity(IntEnum):
    """How urgent a text is, with the values of MAVLink's `MAV_SEVERITY`."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


SEVERITIES: Final[Mapping[AlertLevel, Severity]] = {
    AlertLevel.ERROR: Severity.ERROR,
    AlertLevel.WARN: Severity.WARNING,
}
"""Severity of a text that tells of an alert that has begun; one that is over is INFO."""


@dataclass(frozen=True)
class Wording:
    """
    The texts of an alert, without prefix.

    Attributes:
        begins: Once it begins.
        over: Once it is over.
        cause: What it adds to `NOT RECORDING, `; empty if it does not keep a recorder from it.

    """

    begins: str
    over: str
    cause: str = ''


ALERT_TEXTS: Final[Mapping[str, Wording]] = {
    'disk_full': Wording('DISK FULL', 'disk has space again', 'disk full'),
    'disk_stalled': Wording('DISK DOES NOT ANSWER', 'disk answers again', 'disk hangs'),
    'write_error': Wording('DISK ERROR', 'disk works again', 'disk error'),
    'writer_failed': Wording('WRITER HAS FAILED', 'writer works again', 'writer failed'),
    'intake_failed': Wording('RECORDER HEARS NOTHING', 'recorder hears again', 'hears nothing'),
    'segments_gone': Wording('FILES OF THE FLIGHT DELETED', 'deleted files: flight is over'),
    'flight_moved': Wording('flight directory was renamed', 'renamed flight is over'),
    'disk_low': Wording('disk is nearly full', 'disk has enough space again'),
    'segment_not_opened': Wording('next file cannot be opened', 'next file is open'),
    'cap_misconfigured': Wording('FLIGHT IS LARGER THAN ITS CAP', 'flight is within its cap'),
    'flights_removed': Wording('oldest flights are removed', 'no more flights are removed'),
    'segments_dropped': Wording('oldest records are dropped', 'no more records are dropped'),
    'overrun': Wording(f'{TOPIC} loses records', f'{TOPIC} loses no more'),
    'transport_loss': Wording(f'{TOPIC} is lost on its way', f'{TOPIC} arrives whole'),
    'record_invalid': Wording(f'{TOPIC} is invalid', f'{TOPIC} is valid again'),
    'not_sealed': Wording('FLIGHT IS NOT SEALED', 'no unsealed flight any more'),
    'clock_step': Wording('clock was set', 'clock is steady'),
    'held_while_armed': Wording('stop refused, vehicle is armed', 'disarmed, may be stopped'),
    'recording_paused': Wording('recording is paused', 'recording goes on'),
    'flight_root_locked': Wording('ANOTHER RECORDER HAS THE DISK', 'flight root is free'),
    'flight_root_unusable': Wording('FLIGHT ROOT CANNOT BE USED', 'flight root can be used'),
    'config_invalid': Wording('PARAMETERS ARE WRONG', 'parameters are right'),
    'transition_refused': Wording('RECORDER REFUSED A COMMAND', 'recorder obeys again'),
    'unclean_flight_recovered': Wording('an old flight was recovered', 'old flight cleaned up'),
    'unclean_flight_left': Wording('an old flight is not closed', 'old flight cleaned up'),
    'topic_missing': Wording(f'{TOPIC} is missing', f'{TOPIC} is there'),
    'topic_stale': Wording(f'{TOPIC} is silent', f'{TOPIC} speaks again'),
    'type_unknown': Wording(f'{TOPIC} has no type', f'{TOPIC} has a type'),
    'type_conflict': Wording(f'{TOPIC} has two types', f'{TOPIC} has one type'),
    'topic_failed': Wording(f'{TOPIC} fails', f'{TOPIC} works again'),
    'qos_incompatible': Wording(f'{TOPIC} has other QoS', f'{TOPIC} has our QoS'),
    'condition_unusable': Wording(
        f'condition on {TOPIC} fails', f'condition on {TOPIC} works'
    ),
    'recorder_down': Wording('TRIGGER FINDS NO RECORDER', 'trigger finds the recorder'),
    'recorder_refused': Wording('RECORDER REFUSES THE TRIGGER', 'recorder obeys the trigger'),
    'source_silent': Wording('armed state is not heard', 'armed state is heard again'),
}
"""The texts of every alert code."""


REFUSALS: Final[Mapping[str, str]] = {
    'held_while_armed': 'vehicle is armed',
    'config_invalid': 'wrong parameters',
    'flight_root_locked': 'another recorder',
    'flight_root_unusable': 'no flight root',
    'disk_full': 'disk full',
    'disk_stalled': 'disk hangs',
    'write_error': 'disk error',
}
"""Why a recorder refuses a command, by the alert that it has then; the likeliest first."""


class RecorderState(Enum):
    """What a recorder does, as far as its diagnostics tell: the name that the pilot's text has."""

    RECORDING = 'RECORDING'
    READY = 'ready, not recording'
    NOT_CONFIGURED = 'not recording, not configured'
    SHUT_DOWN = 'not recording, shut down'
    NOT_RECORDING = 'NOT RECORDING'
    NO_ANSWER = 'NO ANSWER FROM RECORDER'


ENDS: Final = 'bridge ends, no more news'
"""What a bridge says that ends in good order."""

TRIGGER_SILENT: Final = 'flight trigger is silent'
"""Takes the place of alerts whose flight trigger is not heard any more."""
TRIGGER_HEARD: Final = 'flight trigger is heard again'

STATE_SEVERITIES: Final[Mapping[RecorderState, Severity]] = {
    RecorderState.RECORDING: Severity.INFO,
    RecorderState.READY: Severity.NOTICE,
    RecorderState.NOT_CONFIGURED: Severity.WARNING,
    RecorderState.SHUT_DOWN: Severity.WARNING,
    RecorderState.NOT_RECORDING: Severity.ERROR,
    RecorderState.NO_ANSWER: Severity.ERROR,
}
"""Severity of the text of each state."""


def wording_of(code: str, level: int) -> Wording:
    """Return the texts of an alert; of a code that a newer recorder has, its name."""
    said = code.replace('_', ' ')
    begins = said.upper() if level >= AlertLevel.ERROR else said
    return ALERT_TEXTS.get(code) or Wording(begins[:MAX_BODY], f'{said[:MAX_BODY - 6]}: over')


def level_of(code: str, level: int) -> AlertLevel:
    """Return the level of an alert; for a code that is not known, that of its status."""
    known = ALERT_LEVELS.get(code)
    return known or (AlertLevel.ERROR if level >= AlertLevel.ERROR else AlertLevel.WARN)


def not_recording(cause: str) -> str:
    """Return the text for a recorder that should record and does not; the cause may be empty."""
    text = RecorderState.NOT_RECORDING.value
    return f'{text}, {cause}' if cause else text


def said(text: str, subject: str = '', label: str = '') -> str:
    """
    Return a text as it is sent: with its prefix, in ASCII, at most `MAX_TEXT` characters.

    Args:
        text: What to say; `TOPIC` in it stands for the subject.
        subject: What it is about; of a name that is too long, the end is shown.
        label: Which recorder, where there are several.

    """
    prefix = f'FDR {label[:MAX_LABEL]}: ' if label else 'FDR: '
    if TOPIC in text:
        name = subject or 'something'
        room = MAX_TEXT - len(prefix) - len(text) + len(TOPIC)
        if len(name) > room:
            name = f'..{name[2 - room :]}' if room > 2 else '..'
        text = text.replace(TOPIC, name)
    printable = ''.join(char if ' ' <= char <= '~' else '?' for char in prefix + text)
    return printable[:MAX_TEXT]
