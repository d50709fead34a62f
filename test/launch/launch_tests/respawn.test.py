# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""For `launch_test`: who is killed in flight makes that flight whole and records on."""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil
import signal
from typing import Any
import unittest

from flight_check import open_flight_files
from ground import has_alert
from launch import LaunchDescription
from launch_process import check_flight_on_disk, flights, fly
from launch_scenario import describe, own_ground
import launch_testing


def generate_test_description() -> tuple[LaunchDescription, dict[str, Any]]:
    """Start a recorder that records at once, and again."""
    return describe(
        ['/before', '/after'], autostart='true', respawn='true', respawn_delay='0.2'
    )


class TestRespawn(unittest.TestCase):
    """Two flights, with `kill -9` between them."""

    def test_respawn(self, root: Path, proc_output: Any) -> None:
        with own_ground() as ground:
            proc_output.assertWaitFor('recording to ', timeout=20)
            fly(ground, root, '/before')
            (first,) = flights(root)
            os.kill(json.loads((root / '.fdr.lock').read_text())['pid'], signal.SIGKILL)
            ground.wait_until(lambda: len(flights(root)) == 2, 'the next flight')
            ground.wait_until(
                lambda: any(
                    has_alert(status, 'unclean_flight_recovered')
                    for array in ground.arrays
                    for status in array.status
                ),
                'the alert: a flight was recovered',
            )
            # A topic on which the dead one has no subscription, which would linger in the graph.
            fly(ground, root, '/after')
            recovered = open_flight_files(first)
            assert len(recovered.of_topic('/before')) == 3
            assert not recovered.footer.clean_shutdown


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """The launch was interrupted in the second flight."""

    def test_exit_codes(self, proc_info: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info, allowable_exit_codes=[0, -9])

    def test_the_second_flight_is_complete(self, root: Path) -> None:
        check_flight_on_disk(root, '/after')
        shutil.rmtree(root.parent)
