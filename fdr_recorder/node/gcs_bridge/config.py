# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The options of the bridge to the ground station; needs no ROS."""

from __future__ import annotations

from fdr_recorder.config_base import Configuration, option
from fdr_recorder.ground.commands import NAMES
from fdr_recorder.ground.endpoint import mistake_in
from fdr_recorder.ground.mavlink import COMPONENT_ID
from fdr_recorder.quick_dataclass import dataclass


def _unknown_commands(names: tuple[str, ...]) -> str:
    unknown = [name for name in names if name not in NAMES]
    return f'must be of {", ".join(NAMES)}, not {unknown[0]!r}' if unknown else ''


@dataclass(frozen=True)
class BridgeConfig(Configuration):
    """What the pilot is told, which way, and what he may command."""

    recorders: tuple[str, ...] = option(
        ('fdr_recorder',),
        'Names of the recorder nodes that the pilot is told of; in the namespace of the bridge, '
        'unless they begin with a slash. Each must answer.',
        check=lambda names: '' if names else 'must name at least one recorder',
    )
    output: str = option(
        'auto',
        'Which way: mavros (MAVROS sends the texts), mavlink (the bridge is a MAVLink component '
        'of its own), or auto: MAVROS while it is there, else MAVLink.',
        choices=('auto', 'mavros', 'mavlink'),
    )
    endpoint: str = option(
        'udpout:127.0.0.1:14550',
        'Where MAVLink goes: udpout:HOST:PORT, udpin:HOST:PORT (to whoever sends something '
        'there), tcp:HOST:PORT (as a client) or serial:DEVICE:BAUD. An address instead of a '
        'name needs no look-up. Empty: MAVROS alone.',
        check=mistake_in,
    )
    system_id: int = option(
        1, 'System id of the vehicle, as its autopilot has it (SYSID_THISMAV, MAV_SYS_ID).', 1, 255
    )
    component_id: int = option(
        COMPONENT_ID,
        'Component id of the bridge; 191 is the onboard computer. Another one where something '
        'else on the vehicle has it.',
        1,
        255,
    )
    mavros_topic: str = option(
        '/mavros/statustext/send',
        'Topic on which MAVROS takes texts (mavros_msgs/StatusText).',
    )
    commands: tuple[str, ...] = option(
        (),
        'What the ground may command by MAVLink: pin (MAV_CMD_USER_1), start (MAV_CMD_USER_2, '
        'configures and activates), stop (MAV_CMD_USER_3, deactivates). MAVLink knows no '
        'passwords: whoever reaches the link can send them.',
        check=_unknown_commands,
    )
    silence_s: float = option(
        4.0,
        'A recorder that has told nothing for so long does not answer. Seconds.',
        2.0,
        60.0,
    )
    seal_interval_s: float = option(
        60.0,
        'How often the newest seal of a sealed flight is told, at most; 0 for never. Seconds.',
        0.0,
        3600.0,
    )
    diagnostics_topic: str = option(
        '/diagnostics',
        'Topic of the diagnostics of the recorders, and of its own '
        '(diagnostic_msgs/DiagnosticArray).',
    )
