# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""For the tests in `launch_tests/`: a recorder under test, by its launch file."""

from __future__ import annotations

import os
from pathlib import Path
import tempfile
from typing import Any

from ground import Ground
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_process import launch_directory
from launch_testing.actions import ReadyToTest
import yaml


def describe(topics: list[str], **more: Any) -> tuple[LaunchDescription, dict[str, Any]]:
    """
    Return what `generate_test_description` has to: the tests are given the flight root.

    Args:
        topics: What is recorded.
        more: `required` is an option; everything else is an argument of the launch file.

    """
    root = Path(tempfile.mkdtemp(prefix='fdr_launch_test_')) / 'flights'
    root.mkdir()
    options = {
        'topics': topics,
        'required': more.pop('required', ['']),
        'writer': {'flush_interval_s': 0.05, 'min_free_bytes': 0},
    }
    params_file = root.with_name('vehicle.yaml')
    params_file.write_text(yaml.safe_dump({'/**': {'ros__parameters': options}}))
    arguments = {'flight_root': str(root), 'params_file': str(params_file), **more}
    recorder = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(launch_directory() / 'recorder.launch.py')),
        launch_arguments=arguments.items(),
    )
    return LaunchDescription([recorder, ReadyToTest()]), {'root': root}


def own_ground() -> Ground:
    """Return a ground station in the domain of this process."""
    return Ground(int(os.environ['ROS_DOMAIN_ID']))
