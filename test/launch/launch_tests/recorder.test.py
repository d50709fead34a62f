# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""For `launch_test`: the recorder by its launch file, its lifecycle, its alerts, its end."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess
from typing import Any
import unittest

from ground import Ground, has_alert
from launch import LaunchDescription
from launch_process import check_flight_on_disk, fly
from launch_scenario import describe, own_ground
import launch_testing
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_msgs.msg import String


def generate_test_description() -> tuple[LaunchDescription, dict[str, Any]]:
    """Start a recorder that waits for its transitions."""
    return describe(['/chatter'], required=['/gps'])


def set_state(ground: Ground, transition: str) -> None:
    """Make a transition as people do, with `ros2 lifecycle`; by its service where that is not."""
    ros2 = shutil.which('ros2')
    if ros2 is not None:
        # Without the daemon, which would stay behind.
        command = [ros2, 'lifecycle', 'set', '--no-daemon', '/fdr_recorder', transition]

        def has_succeeded() -> bool:  # it may look for the node for too short a time
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return 'Transitioning successful' in done.stdout

        ground.wait_until(has_succeeded, f'ros2 lifecycle set {transition}')
        return
    number = getattr(Transition, f'TRANSITION_{transition.upper()}')
    request = ChangeState.Request(transition=Transition(id=number))
    assert ground.call(ChangeState, '/fdr_recorder/change_state', request).success


class TestFlight(unittest.TestCase):
    """One flight, from the launch to the last message before its end."""

    def test_flight(self, root: Path, proc_output: Any) -> None:
        with own_ground() as ground:
            ground.wait_until(lambda: ground.arrays, 'the recorder on /diagnostics')
            assert 'unconfigured' in ground.arrays[-1].status[0].message
            set_state(ground, 'configure')

            def is_missing() -> bool:
                newest = [status for array in ground.arrays[-2:] for status in array.status]
                return any(has_alert(status, 'topic_missing') for status in newest)

            ground.wait_until(is_missing, 'the alert: /gps is missing')
            ground.node.create_publisher(String, '/gps', 10)
            ground.wait_until(lambda: not is_missing(), 'the end of the alert')
            set_state(ground, 'activate')
            proc_output.assertWaitFor('recording to ', timeout=10)
            fly(ground, root, '/chatter')


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """The launch was interrupted while the recorder was active."""

    def test_exit_code(self, proc_info: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)

    def test_the_flight_is_complete(self, root: Path) -> None:
        check_flight_on_disk(root, '/chatter')
        shutil.rmtree(root.parent)
