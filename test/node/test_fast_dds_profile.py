# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The profile for publishers of large messages does what the README says."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

import pytest
from ros_domain import own_domain, ros_environment

PROFILE = Path(__file__).resolve().parents[2] / 'config' / 'fast_dds_large_messages.xml'

SHARED_MEMORY = """
import re
import rclpy

rclpy.init()
node = rclpy.create_node('camera')
with open('/proc/self/maps') as maps:
    ranges = re.findall(r'^(\\w+)-(\\w+) .*/dev/shm/fast', maps.read(), re.MULTILINE)
print(max((int(end, 16) - int(start, 16) for start, end in ranges), default=0))
node.destroy_node()
rclpy.shutdown()
"""
"""Prints the size of the largest piece of shared memory that a node's process has."""


def shared_memory_bytes(profile: str) -> int:
    with own_domain() as domain_id:
        environment = {**os.environ, **ros_environment(domain_id)}
        for variable in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
            environment.pop(variable, None)
            if profile:
                environment[variable] = profile
        output = subprocess.run(
            [sys.executable, '-c', SHARED_MEMORY],
            env=environment,
            stdout=subprocess.PIPE,
            timeout=60,
            check=True,
        ).stdout
    return int(output)


def test_a_publisher_has_room_for_several_images() -> None:
    usual = shared_memory_bytes(profile='')
    if not usual:
        pytest.skip('the middleware here uses no shared memory of Fast DDS')
    assert usual < 1_000_000, 'the profile is not needed any more'
    assert shared_memory_bytes(str(PROFILE)) > 16_000_000
