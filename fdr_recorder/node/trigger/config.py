# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The options of the flight trigger; needs no ROS, so `fdr check` can read its parameter file."""

from __future__ import annotations

from fdr_recorder.config_base import option
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.topics.armed import ArmedConfig


@dataclass(frozen=True)
class TriggerConfig(ArmedConfig):
    """
    When a flight begins and ends.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    recorder: str = option(
        'fdr_recorder',
        'Name of the recorder node that is driven; in the namespace of the trigger, unless it '
        'begins with a slash.',
    )
    post_roll_s: float = option(
        5.0,
        'The flight is closed this long after the vehicle was disarmed; arming again before that '
        'continues it. Seconds.',
        0.0,
        3600.0,
    )
    diagnostics_topic: str = option(
        '/diagnostics', 'Topic for alerts and the summary (diagnostic_msgs/DiagnosticArray).'
    )
