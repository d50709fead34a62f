# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Whether there is a flight: the armed state from a source, debounced, with a post-roll."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from fdr_recorder.errors import RecordError, SourceTypeMissingError
from fdr_recorder.node.message_class import import_message_class


class ArmedSource(NamedTuple):
    """
    A topic that tells whether the vehicle is armed.

    Attributes:
        type_name: Its message type.
        topic: Its usual name.
        is_armed: Returns what a message tells; None if it tells nothing.

    """

    type_name: str
    topic: str
    is_armed: Callable[[Any], bool | None]

    def message_type(self, name: str) -> type[Any]:
        """Import the message type; raise SourceTypeMissingError if it is not installed."""
        try:
            return import_message_class(self.type_name)
        except RecordError as error:
            raise SourceTypeMissingError(name, self.type_name) from error


SOURCES: Final[Mapping[str, ArmedSource]] = {
    'bool': ArmedSource('std_msgs/msg/Bool', 'armed', lambda message: bool(message.data)),
    # Without a connection to the autopilot, MAVROS says `armed: false` in any case.
    'mavros': ArmedSource(
        'mavros_msgs/msg/State',
        'mavros/state',
        lambda message: bool(message.armed) if message.connected else None,
    ),
    'px4': ArmedSource(
        'px4_msgs/msg/VehicleStatus',
        'fmu/out/vehicle_status',
        lambda message: bool(message.arming_state == message.ARMING_STATE_ARMED),
    ),
}
"""Every source, by the value of the parameter `source`."""


class ArmedSwitch:
    """
    Decide from the armed state whether there is a flight.

    A flight begins once the vehicle has been armed for `debounce_s`. It ends `post_roll_s` after
    disarming (`debounce_s` if that is longer), unless the vehicle is armed again before.

    Attributes:
        is_armed: The last state from the source; None before the first.

    """

    def __init__(self, debounce_s: float, post_roll_s: float) -> None:
        self._debounce_s = debounce_s
        self._until_closed_s = max(debounce_s, post_roll_s)
        self._is_flying: bool | None = None
        self._since = 0.0
        self.is_armed: bool | None = None

    def hear(self, is_armed: bool, now: float) -> None:
        """Take a state from the source (`now`: monotonic seconds)."""
        if is_armed != self.is_armed:
            self.is_armed, self._since = is_armed, now

    def is_flying(self, now: float) -> bool | None:
        """Return whether there is a flight now (monotonic seconds); None while unknown."""
        held_s = now - self._since
        if self.is_armed and held_s >= self._debounce_s:
            self._is_flying = True
        elif self.is_armed is False and held_s >= self._until_closed_s:
            self._is_flying = False
        return self._is_flying
