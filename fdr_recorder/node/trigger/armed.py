# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Whether the vehicle flies: what the autopilot says, debounced, and held for the post-roll."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from fdr_recorder.errors import SourceTypeMissingError


class ArmedSource(NamedTuple):
    """
    One way of learning whether the vehicle is armed.

    Attributes:
        type_name: Its message type.
        topic: Where it is usually published.
        is_armed: What one message says; None if it says nothing.

    """

    type_name: str
    topic: str
    is_armed: Callable[[Any], bool | None]

    def message_type(self, name: str) -> type[Any]:
        """
        Import the message type.

        Raises:
            SourceTypeMissingError: Its package is not installed.

        """
        package, _, message = self.type_name.partition('/msg/')
        try:
            found: type[Any] = getattr(import_module(f'{package}.msg'), message)
        except (ImportError, AttributeError) as error:
            raise SourceTypeMissingError(name, self.type_name) from error
        return found


SOURCES: Final[Mapping[str, ArmedSource]] = {
    'bool': ArmedSource('std_msgs/msg/Bool', 'armed', lambda message: bool(message.data)),
    # Without a connection to the autopilot MAVROS says `armed: false`, whatever is true.
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
    Decides from what the source says whether there is a flight.

    Armed is believed after `debounce_s`. A flight ends `post_roll_s` after the vehicle was
    disarmed, unless it is armed again before; what the source says last is what counts.
    """

    def __init__(self, debounce_s: float, post_roll_s: float) -> None:
        """Know nothing yet."""
        self._debounce_s = debounce_s
        self._until_closed_s = max(debounce_s, post_roll_s)
        self._is_flying: bool | None = None
        self._since = 0.0
        self.is_armed: bool | None = None
        """What the source said last; None before it has said anything."""

    def hear(self, is_armed: bool, now: float) -> None:
        """
        Take what the source says.

        Args:
            is_armed: What it says.
            now: Monotonic seconds.

        """
        if is_armed != self.is_armed:
            self.is_armed, self._since = is_armed, now

    def is_flying(self, now: float) -> bool | None:
        """Return whether there is a flight at this time; None while that is not known."""
        held_s = now - self._since
        if self.is_armed and held_s >= self._debounce_s:
            self._is_flying = True
        elif self.is_armed is False and held_s >= self._until_closed_s:
            self._is_flying = False
        return self._is_flying
