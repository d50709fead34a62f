# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What says that the vehicle is armed: options of the flight trigger, and of the recorder."""

from __future__ import annotations

from fdr_recorder.config_base import Configuration, option
from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.topics.condition import wrong_conditions
from fdr_recorder.topics.names import wrong_name


@dataclass(frozen=True)
class ArmedConfig(Configuration):
    """
    What says that the vehicle is armed.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    source: str = option(
        'bool',
        'What says that the vehicle is armed: bool (std_msgs/Bool), mavros (mavros_msgs/State), '
        'px4 (px4_msgs/VehicleStatus), or none (`trigger_on` alone).',
        choices=('bool', 'mavros', 'px4', 'none'),
    )
    topic: str = option(
        '',
        'Topic of the source; empty for the usual one: armed, mavros/state, '
        'fmu/out/vehicle_status (PX4 from 1.16 on has fmu/out/vehicle_status_v1).',
        check=lambda name: wrong_name(name) if name else '',
    )
    trigger_on: tuple[str, ...] = option(
        (),
        "Conditions on topics, each in quotes: '/battery_state: voltage < 14.2'. While one holds, "
        'that counts as armed, whatever the source says.',
        check=wrong_conditions,
    )
    debounce_s: float = option(
        0.3,
        'The source must say the same for this long before it is believed; a condition, too, '
        'unless it ends with `for N s`. Seconds.',
        0.0,
        60.0,
    )
    source_timeout_s: float = option(
        5.0,
        'An alert is raised when the source, or the topic of a condition, has been silent for '
        'this long (the recorder is left as it is); 0 for never, where it speaks only when '
        'something changes. Seconds.',
        0.0,
        3600.0,
    )

    def __post_init__(self) -> None:
        """Check every value, and that something can say that the vehicle is armed."""
        super().__post_init__()
        if self.source == 'none' and not self.trigger_on:
            raise ConfigInvalidError(
                [f'{self.PREFIX}source: none needs {self.PREFIX}trigger_on']
            )
