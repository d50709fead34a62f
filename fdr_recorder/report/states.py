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
States of the vehicle over time: its mode, whether it is armed, failsafes, warnings, what it says.

They come from numbers in messages of known types, or from texts, for which each message is
decoded; the time for that is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.report.known_types import known_type
from fdr_recorder.types.cdr_to_columns import Floats, Messages
from fdr_recorder.types.typestore import parse_types, typestore_of
from fdr_recorder.units import NS_PER_S, short
import numpy as np

_MOST_CHANGES: Final = 5000
"""Of one state; what comes later is not shown."""
_MOST_DECODED: Final = 40_000
"""Messages of one topic whose texts are read."""
_MOST_NAMES: Final = 24
"""Different lanes of one topic."""
_LONGEST: Final = 120

FLAGS_LANE: Final = 'Failsafe flags'
_ORDER: Final = (
    'Mode', 'Armed', 'Landed', 'Failsafe', FLAGS_LANE, 'Battery warning', 'Autopilot',
    'Said by the autopilot',
)  # fmt: skip
MODES: Final = 'mode-'
"""A style that begins like this is followed by a number: each mode has its own."""
_NAV_STATES: Final = (
    'manual', 'altctl', 'posctl', 'auto mission', 'auto loiter', 'auto rtl', 'position slow', '',
    '', '', 'acro', '', 'descend', 'termination', 'offboard', 'stab', '', 'auto takeoff',
    'auto land', 'auto follow target', 'auto precland', 'orbit', 'auto vtol takeoff',
)  # fmt: skip
"""Of PX4; for definitions without constants."""
_SEVERITIES: Final = ('bad', 'bad', 'bad', 'bad', 'warn', 'note', 'note', 'note')
"""Of MAVLink, from emergency to debug."""
_LEVELS: Final = {1: 'warn', 2: 'bad', 3: 'quiet'}
"""Of diagnostics: warning, error, stale."""

State = tuple[str, str]
"""What a band says, and its style; nothing to show if the text is empty."""
_NONE: Final[State] = ('', '')


@dataclass(frozen=True)
class Band:
    """A state that lasted from one time to another, in seconds since the page's axis begins."""

    from_s: float
    to_s: float
    text: str
    style: str


@dataclass
class Lane:
    """
    One state of one topic over time.

    Attributes:
        name: What it is a state of.
        topic: The topic that tells.
        is_moment: Whether each entry is of one moment, and does not last until the next.
        changes: When which state began.

    """

    name: str
    topic: str
    is_moment: bool = False
    changes: list[tuple[float, State]] = field(default_factory=list)

    @property
    def is_merged(self) -> bool:
        """Return whether it shares its lane with others of the same name: several flags."""
        return self.name == FLAGS_LANE

    @property
    def rank(self) -> int:
        """Return its place: modes, arming and failsafes come before all others."""
        return _ORDER.index(self.name) if self.name in _ORDER else len(_ORDER)

    def add(self, seconds: float, state: State) -> None:
        """Note a state; a state that goes on is no change."""
        if len(self.changes) < _MOST_CHANGES and (
            self.is_moment or not self.changes or self.changes[-1][1] != state
        ):
            self.changes.append((seconds, state))

    def bands(self, end_s: float) -> list[Band]:
        """Return what lasted, in order; the last one until `end_s`."""
        self.changes.sort(key=lambda change: change[0])
        numbers: dict[str, int] = {}
        found: list[Band] = []
        ends = [*(seconds for seconds, _ in self.changes[1:]), end_s]
        for (seconds, (text, style)), end in zip(self.changes, ends, strict=True):
            if not text:
                continue
            if style == MODES:
                style += str(numbers.setdefault(text, len(numbers)) % 8)
            to_s = seconds if self.is_moment else max(end, seconds)
            if found and found[-1].text == text and found[-1].to_s >= seconds > found[-1].from_s:
                seconds = found.pop().from_s
            found.append(Band(seconds, to_s, text, style))
        return found


# --- from numbers ------------------------------------------------------------------------------


def _flag(text: str, style: str) -> Callable[[int, Mapping[int, str]], State]:
    return lambda value, _names: (text, style) if value else _NONE


def _armed(value: int, _names: Mapping[int, str]) -> State:
    return ('armed', 'note') if value == 2 else _NONE


def _mode(value: int, names: Mapping[int, str]) -> State:
    known = _NAV_STATES[value] if 0 <= value < len(_NAV_STATES) else ''
    return names.get(value) or known or f'mode {value}', MODES


def _named(value: int, names: Mapping[int, str]) -> State:
    return (names.get(value) or str(value), MODES) if value else _NONE


def _warning(value: int, names: Mapping[int, str]) -> State:
    text = names.get(value) or f'warning {value}'
    return (text, 'warn' if value == 1 else 'bad') if value else _NONE


def _health(value: int, names: Mapping[int, str]) -> State:
    return (names.get(value) or f'health {value}', 'bad') if value > 1 else _NONE


def _critical(value: int, _names: Mapping[int, str]) -> State:
    return {5: ('critical', 'bad'), 6: ('emergency', 'bad')}.get(value, _NONE)


@dataclass(frozen=True)
class _NumberSource:
    """A lane from a number: the lane, the field, what its constants begin with, what it says."""

    lane: str
    path: str
    constants: str
    state: Callable[[int, Mapping[int, str]], State]


_NUMBERS: Final[Mapping[str, tuple[_NumberSource, ...]]] = {
    'px4_msgs/msg/VehicleStatus': (
        _NumberSource('Mode', 'nav_state', 'NAVIGATION_STATE_', _mode),
        _NumberSource('Armed', 'arming_state', '', _armed),
        _NumberSource('Failsafe', 'failsafe', '', _flag('failsafe', 'bad')),
    ),
    'px4_msgs/msg/BatteryStatus': (
        _NumberSource('Battery warning', 'warning', 'BATTERY_WARNING_', _warning),
    ),
    'px4_msgs/msg/VehicleLandDetected': (
        _NumberSource('Landed', 'landed', '', _flag('landed', 'quiet')),
    ),
    'mavros_msgs/msg/State': (
        _NumberSource('Armed', 'armed', '', _flag('armed', 'note')),
        _NumberSource('Failsafe', 'system_status', '', _critical),
        _NumberSource('Autopilot', 'connected', '', lambda value, _: (
            _NONE if value else ('not connected', 'bad'))),
    ),
    'mavros_msgs/msg/ExtendedState': (
        _NumberSource('Landed', 'landed_state', 'LANDED_STATE_', _named),
    ),
    'sensor_msgs/msg/BatteryState': (
        _NumberSource(
            'Battery warning', 'power_supply_health', 'POWER_SUPPLY_HEALTH_', _health
        ),
    ),
}  # fmt: skip
_FLAGS: Final = 'px4_msgs/msg/FailsafeFlags'
_NOT_FLAGS: Final = ('mode_req_', 'timestamp', 'battery_warning')


def _constants(schema: Schema, prefix: str) -> dict[int, str]:
    """Return the names of a type's constants that begin like this, by their values."""
    constants, _ = parse_types(schema).get(schema.name, ((), ()))
    return {
        int(value): short(name.removeprefix(prefix).replace('_', ' ').lower(), 40)
        for name, _, value in constants
        if prefix and name.startswith(prefix) and isinstance(value, int)
    }


class NumberStates:
    """
    The states that the numbers of one topic tell.

    Attributes:
        lanes: The lane of each.
        paths: The field of each.

    """

    def __init__(self, topic: str, schema: Schema, fields: Sequence[str]) -> None:
        """Take the fields that the topic has."""
        known = known_type(schema.name)
        sources = [source for source in _NUMBERS.get(known, ()) if source.path in fields]
        if known == _FLAGS:
            sources += [
                _NumberSource(FLAGS_LANE, path, '', _flag(path.replace('_', ' '), 'warn'))
                for path in fields
                if not path.startswith(_NOT_FLAGS)
            ]
        self.paths = [source.path for source in sources]
        self.lanes = [Lane(source.lane, topic) for source in sources]
        self._sources = sources
        self._names = [_constants(schema, source.constants) for source in sources]

    def add(self, seconds: Floats, values: Floats) -> None:
        """Add messages: their times, and a row for each of `paths`."""
        for row, lane in enumerate(self.lanes):
            known = np.isfinite(values[row])
            times, states = seconds[known], values[row, known]
            changed = np.flatnonzero(np.r_[True, states[1:] != states[:-1]][:len(states)])
            for place in changed[:_MOST_CHANGES].tolist():
                state = self._sources[row].state(int(states[place]), self._names[row])
                lane.add(float(times[place]), state)


# --- from texts --------------------------------------------------------------------------------


def _of_state(message: Any) -> Iterator[tuple[str, bool, State]]:  # noqa: ANN401
    yield 'Mode', False, (short(str(message.mode), _LONGEST), MODES)


def _of_status_text(message: Any) -> Iterator[tuple[str, bool, State]]:  # noqa: ANN401
    severity = min(int(message.severity), len(_SEVERITIES) - 1)
    yield 'Said by the autopilot', True, (short(message.text, _LONGEST), _SEVERITIES[severity])


def _of_diagnostics(message: Any) -> Iterator[tuple[str, bool, State]]:  # noqa: ANN401
    for status in message.status:
        level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
        said = short(status.message, _LONGEST) or 'not OK'
        yield short(status.name, 60), False, (said, _LEVELS[level]) if level in _LEVELS else _NONE


_TEXTS: Final[
    Mapping[str, Callable[[Any], Iterator[tuple[str, bool, State]]]]
] = {
    'mavros_msgs/msg/State': _of_state,
    'mavros_msgs/msg/StatusText': _of_status_text,
    'diagnostic_msgs/msg/DiagnosticArray': _of_diagnostics,
}


class TextStates:
    """The states that one topic tells in words: lane by lane, as they come up."""

    def __init__(self, topic: str, schema: Schema) -> None:
        """Start without messages; `reads` is False for a type that is not known."""
        self._topic = topic
        self._schema = schema
        self._states = _TEXTS.get(schema.name)
        self._lanes: dict[str, Lane] = {}
        self._decoded = 0

    @property
    def reads(self) -> bool:
        """Return whether the topic's messages are wanted."""
        return self._states is not None and self._decoded < _MOST_DECODED

    @property
    def lanes(self) -> list[Lane]:
        """Return what was found."""
        return list(self._lanes.values())

    def add(self, messages: Messages, start_ns: int) -> None:
        """Add messages; the axis begins at `start_ns`."""
        if self._states is None:
            return
        try:
            decode = typestore_of(self._schema).deserialize_cdr
        except RecordError:
            self._states = None
            return
        for time_ns, data in messages.data():
            self._decoded += 1
            if self._decoded > _MOST_DECODED:
                return
            try:
                states = list(self._states(decode(data, self._schema.name)))
            except Exception:  # damaged data make the generated decoder raise anything
                continue
            for name, is_moment, state in states:
                lane = self._lanes.get(name)
                if lane is None and len(self._lanes) < _MOST_NAMES:
                    lane = self._lanes[name] = Lane(name, self._topic, is_moment)
                if lane is not None:
                    lane.add((time_ns - start_ns) / NS_PER_S, state)
