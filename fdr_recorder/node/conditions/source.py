# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Topics that say yes or no: what says that the vehicle is armed, and any condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from fdr_recorder.errors import ConditionError, RecordError, SourceTypeMissingError
from fdr_recorder.node.conditions.comparison import bind, Reader
from fdr_recorder.node.message_class import import_message_class
from fdr_recorder.topics.armed import ArmedConfig
from fdr_recorder.topics.condition import Condition, parse_condition


class ArmedSource(NamedTuple):
    """
    A kind of topic that tells whether the vehicle is armed.

    Attributes:
        type_name: Its message type.
        topic: Its usual name.
        is_armed: Returns what a message tells; None if it tells nothing.

    """

    type_name: str
    topic: str
    is_armed: Reader


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
"""Every armed source, by the value of the option `source`."""


class Source(NamedTuple):
    """
    A topic whose messages say yes, no or nothing.

    Attributes:
        name: As alerts name it; empty for the armed source.
        topic: Its name, perhaps relative.
        debounce_s: How long it must say the same before that is believed.
        types: The types in which it may be; empty for any.
        reader: Returns what reads messages of a type; raises ConditionError if none can.

    """

    name: str
    topic: str
    debounce_s: float
    types: Mapping[str, type[Any]]
    reader: Callable[[type[Any]], Reader]

    def message_class(self, type_name: str) -> type[Any]:
        """Import a type; raise ConditionError if it is not installed."""
        if type_name in self.types:
            return self.types[type_name]
        try:
            return import_message_class(type_name)
        except RecordError as error:
            raise ConditionError(self.name, str(error)) from error


def of_condition(condition: Condition, debounce_s: float) -> Source:
    """Return the source that says whether a condition holds, in whatever type its topic has."""
    held_s = debounce_s if condition.held_s is None else condition.held_s
    return Source(
        condition.text, condition.topic, held_s, {}, lambda message: bind(condition, message)
    )


def sources_of(config: ArmedConfig) -> list[Source]:
    """
    Return what says whether the vehicle is armed: the source, then each condition.

    Raises:
        SourceTypeMissingError: The source's message type is not installed.

    """
    sources = [
        of_condition(parse_condition(text), config.debounce_s) for text in config.trigger_on
    ]
    if config.source == 'none':
        return sources
    armed = SOURCES[config.source]
    try:
        message_class = import_message_class(armed.type_name)
    except RecordError as error:
        raise SourceTypeMissingError(config.source, armed.type_name) from error
    source = Source(
        '',
        config.topic or armed.topic,
        config.debounce_s,
        {armed.type_name: message_class},
        lambda _: armed.is_armed,
    )
    return [source, *sources]
