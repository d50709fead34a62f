# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What all of the recorder's own records, and their parts, have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, ClassVar, Final

from fdr_recorder.quick_dataclass import dataclass

OWN_TOPIC_PREFIX: Final = '/fdr/'
MESSAGE_PACKAGE: Final = 'fdr_recorder'


@dataclass(frozen=True, kw_only=True)
class Payload:
    """
    Base of all payloads.

    Attributes:
        extra: Fields of a newer version that this version does not know, by name.

    """

    KIND: ClassVar[str] = ''
    NESTED: ClassVar[Mapping[str, type[Payload]]] = {}
    """Fields that are sequences of other payloads."""

    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def known_keys(cls) -> tuple[str, ...]:
        """Return the names of the fields that this version knows, in order."""
        return tuple(item.name for item in fields(cls) if item.name != 'extra')

    @classmethod
    def type_name(cls) -> str:
        """Return the ROS type, for example `fdr_recorder/msg/FlightHeader`."""
        return f'{MESSAGE_PACKAGE}/msg/{cls.__name__.removesuffix("Record")}'

    @classmethod
    def channel_topic(cls) -> str:
        """Return the topic of the channel, for example `/fdr/flight_header`."""
        return OWN_TOPIC_PREFIX + cls.KIND
