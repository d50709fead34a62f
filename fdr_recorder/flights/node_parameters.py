# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The parameters of the vehicle's nodes, as a flight tells them: values, and changes in flight."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
import json
from typing import Any, Final

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.kinds import NodeParameters
from fdr_recorder.topics.names import PARAMETER_EVENTS
from fdr_recorder.types.cdr_to_json import JsonDecoder

_TYPE: Final = 'rcl_interfaces/msg/ParameterEvent'
_FIELDS: Final = (
    '', 'bool_value', 'integer_value', 'double_value', 'string_value', 'byte_array_value',
    'bool_array_value', 'integer_array_value', 'double_array_value', 'string_array_value',
)  # fmt: skip
"""Of `rcl_interfaces/ParameterValue`, by its type."""
NOT_SET: Final = 'null'


@dataclass
class ParameterValues:
    """
    The values of one parameter, as JSON.

    Attributes:
        node: Full name of the node.
        name: Of the parameter.
        values: When each value was told first, and the value, in the order of time.

    """

    node: str
    name: str
    values: list[tuple[int, str]] = field(default_factory=list)

    @property
    def last(self) -> str:
        """Return the last value that is known."""
        return self.values[-1][1] if self.values else NOT_SET

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        values = [(time_ns, json.loads(text, parse_constant=str)) for time_ns, text in self.values]
        return {
            'node': self.node,
            'name': self.name,
            'value': values[-1][1] if values else None,
            'changes': [{'time_ns': time_ns, 'value': value} for time_ns, value in values],
        }


class FlightParameters:
    """
    The parameters of all nodes that a flight tells of.

    Attributes:
        failures: Why the parameters of a node are unknown, by its name.

    """

    def __init__(self) -> None:
        """Begin without a parameter."""
        self.failures: dict[str, str] = {}
        self._told: dict[tuple[str, str], dict[int, str]] = {}
        self._decoders: dict[Schema, JsonDecoder] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is known."""
        return bool(self._told or self.failures)

    def add_answer(self, time_ns: int, told: NodeParameters) -> None:
        """Take what a node has answered."""
        if told.failure:
            self.failures[told.node] = told.failure
        else:
            self.failures.pop(told.node, None)
        for name, text in told.parameters.items():
            self._told.setdefault((told.node, name), {})[time_ns] = text

    def add_event(self, message: Message) -> None:
        """Take a message of `/parameter_events`; raise RecordError if it cannot be read."""
        schema = message.channel.schema
        decoder = self._decoders.get(schema)
        if decoder is None:
            decoder = self._decoders[schema] = JsonDecoder(schema)
        event = decoder.decode(message.data)
        try:
            changed = [*event['new_parameters'], *event['changed_parameters']]
            for item in changed:
                self._take(event['node'], item['name'], message, _text(item['value']))
            for item in event['deleted_parameters']:
                self._take(event['node'], item['name'], message, NOT_SET)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            text = f'{PARAMETER_EVENTS}: an event of another kind: {error!r:.200}'
            raise RecordError(text) from error

    def _take(self, node: str, name: str, message: Message, text: str) -> None:
        self._told.setdefault((node, name), {})[message.log_time_ns] = text

    def __iter__(self) -> Iterator[ParameterValues]:
        """Yield all parameters, by node and name."""
        for (node, name), told in sorted(self._told.items()):
            found = ParameterValues(node, name)
            for time_ns, text in sorted(told.items()):
                if not found.values or text != found.last:
                    found.values.append((time_ns, text))
            yield found

    @property
    def nodes(self) -> int:
        """Count the nodes of which parameters are known."""
        return len({node for node, _ in self._told})

    def to_list(self) -> list[dict[str, Any]]:
        """Return it for `json.dumps`."""
        return [found.to_dict() for found in self]


def has_parameters(channel: FileChannel) -> bool:
    """Return whether the messages of a channel tell of changed parameters."""
    return channel.topic == PARAMETER_EVENTS and channel.schema.name == _TYPE


def _text(value: dict[str, Any]) -> str:
    """Return a `ParameterValue` as JSON, as the recorder writes answers."""
    kind = value['type']
    if not kind:
        return NOT_SET
    plain = value[_FIELDS[kind]]
    if _FIELDS[kind] == 'byte_array_value':
        plain = list(base64.b64decode(plain))
    elif _FIELDS[kind] == 'double_value':
        plain = _number(plain)
    elif _FIELDS[kind] == 'double_array_value':
        plain = [_number(item) for item in plain]
    return json.dumps(plain, ensure_ascii=False)


def _number(value: float | str | None) -> float:
    """Return a number as such that the decoder has written as JSON can: NaN as null."""
    return float('nan' if value is None else value)
