# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The type of a channel, as an MCAP schema record holds it."""

from __future__ import annotations

from fdr_recorder.mcap.layout import ROS2IDL, ROS2MSG
from fdr_recorder.quick_dataclass import dataclass


@dataclass(frozen=True)
class Schema:
    """
    The type of a channel.

    Attributes:
        name: ROS type, for example `sensor_msgs/msg/Imu`.
        definition: Its definition with those of all nested types; empty if unknown. Other
            programs may write a binary one: bytes that are not UTF-8 are surrogates then.
        encoding: The language of the definition (MCAP registry): `ros2msg` or `ros2idl`, by other
            programs any; in a file it is empty if the definition is unknown.

    """

    name: str
    definition: str
    encoding: str = ROS2MSG

    @property
    def data(self) -> bytes:
        """Return the definition as the bytes that a file has."""
        is_text = self.encoding in (ROS2MSG, ROS2IDL)
        return self.definition.encode('utf-8', 'strict' if is_text else 'surrogateescape')
