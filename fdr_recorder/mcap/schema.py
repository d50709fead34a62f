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

from dataclasses import dataclass

from fdr_recorder.mcap.layout import ROS2MSG


@dataclass(frozen=True)
class Schema:
    """
    The type of a channel.

    Attributes:
        name: ROS type, for example `sensor_msgs/msg/Imu`.
        definition: What it is made of, in full; empty if nobody knows it.
        encoding: How the definition is written, as the MCAP registry calls it: `ros2msg` or
            `ros2idl`. A file says nothing here for a type that nobody knows.

    """

    name: str
    definition: str
    encoding: str = ROS2MSG
