# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Launch files that really run, in a process of their own, watched from the ground.

They need launch and launch_ros, which come with a ROS 2 installation, and this package installed.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
import signal
import subprocess
import sys

from fdr_recorder.config import OPTIONS
from flight_check import read_whole_chunks
from ground import Ground
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from recorder_process import is_locked, read_flight
from ros_domain import ros_environment
from std_msgs.msg import String

END_DEADLINE_S = 30.0

# What `ros2 launch` does without a terminal. (With one it leaves it to the terminal to interrupt
# the recorder as well.) The signal: a shell's background job, and all that it starts, ignore it.
RUN = """
import signal, sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

signal.signal(signal.SIGINT, signal.default_int_handler)
path, *arguments = sys.argv[1:]
service = LaunchService(noninteractive=True)
service.include_launch_description(
    IncludeLaunchDescription(
        PythonLaunchDescriptionSource(path),
        launch_arguments=[argument.split(':=', 1) for argument in arguments],
    )
)
sys.exit(service.run())
"""


def launch_directory(*modules: str) -> Path:
    """Return where `ros2 launch` would find the launch files; skip where nothing can run them."""
    for module in ('launch', 'launch_ros', *modules):
        spec = importlib.util.find_spec(module)
        # The directory launch/ of a checkout looks like a package without an origin.
        if spec is None or spec.origin is None:
            pytest.skip(f'{module} is not installed; it comes with a ROS 2 installation')
    for prefix in ros_environment(0)['AMENT_PREFIX_PATH'].split(os.pathsep):
        index = Path(prefix, 'share/ament_index/resource_index/packages')
        if (index / 'fdr_recorder').exists():
            return Path(prefix, 'share/fdr_recorder/launch')
    pytest.skip('fdr_recorder is not in the ament index; install it, or source its workspace')


def launch_environment(domain_id: int, directory: Path) -> dict[str, str]:
    """Return the environment of a launch in a ROS domain, with its log in a directory."""
    return {
        **os.environ,
        **ros_environment(domain_id),
        'ROS_LOG_DIR': str(directory / 'ros_log'),
        'PYTHONUNBUFFERED': '1',
    }


class Launch:
    """
    A launch in a process of its own, from `__enter__` to `__exit__` at the latest.

    Args:
        ground: Who drives and watches it.
        directory: Where it runs and has its log.
        file: The launch file; relative to where they are installed.
        arguments: Of the launch file.

    """

    def __init__(
        self,
        ground: Ground,
        directory: Path,
        file: str | Path = 'recorder.launch.py',
        **arguments: object,
    ) -> None:
        self.ground = ground
        self._directory = directory
        self._log = directory / 'launch.log'
        self._command = [sys.executable, '-c', RUN, str(launch_directory() / file)]
        self._command += [f'{name}:={value}' for name, value in arguments.items()]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Launch:
        with self._log.open('wb') as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=launch_environment(self.ground.domain_id, self._directory),
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.processes():
            os.killpg(self.pid, signal.SIGKILL)  # it leads a group of its own
        assert self._process is not None
        self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors='replace')

    def processes(self) -> list[str]:
        """Return what still runs of the launch and of what it has started."""
        command = ['pgrep', '--list-full', '--session', str(self.pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    def wait_for_end(self) -> int:
        assert self._process is not None
        try:
            return self._process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f'the launch did not end; its log:\n{self.log}')

    def interrupt(self) -> None:
        """Send SIGINT to the launch alone; it ends in good order, and nothing is left."""
        os.kill(self.pid, signal.SIGINT)
        assert self.wait_for_end() == 0, self.log
        assert 'Traceback' not in self.log
        assert 'escalating' not in self.log  # the first signal was enough
        assert not self.processes()

    def state(self, node: str = '/fdr_recorder') -> str:
        response = self.ground.call(
            GetState, f'{node}/get_state', GetState.Request(), again_after_s=2
        )
        return str(response.current_state.label)

    def wait_for(self, state: str, node: str = '/fdr_recorder') -> None:
        self.ground.wait_until(lambda: self.state(node) == state, f'{node} {state}')

    def make(self, *transitions: str, node: str = '/fdr_recorder') -> None:
        """Make transitions that must succeed."""
        for name in transitions:
            number = getattr(Transition, f'TRANSITION_{name.upper()}')
            request = ChangeState.Request(transition=Transition(id=number))
            response = self.ground.call(ChangeState, f'{node}/change_state', request)
            assert response.success, f'{name} refused; log:\n{self.log}'

    def options(self) -> dict[str, object]:
        """Ask for the values of all parameters that are options."""
        request = GetParameters.Request(names=list(OPTIONS))
        response = self.ground.call(GetParameters, '/fdr_recorder/get_parameters', request)
        return dict(zip(OPTIONS, map(parameter_value_to_python, response.values), strict=True))


def flights(root: Path) -> list[Path]:
    """Return the directories of all flights, oldest first."""
    paths = [path for path in root.iterdir() if path.is_dir()]
    return sorted(paths, key=lambda path: path.stat().st_ctime_ns)


def fly(ground: Ground, root: Path, topic: str) -> None:
    """Publish three messages and wait until they are on disk, in the newest flight."""
    publisher = ground.publisher(String, topic)
    for number in range(3):
        publisher.publish(String(data=str(number)))
    segment = flights(root)[-1] / 'segment_000000.mcap'

    def stored() -> bool:
        return sum(message.topic == topic for message in read_whole_chunks(segment)) == 3

    ground.wait_until(stored, f'three messages of {topic} on disk')
    ground.node.destroy_publisher(publisher)


def check_flight_on_disk(root: Path, topic: str) -> None:
    """Check that the newest flight is complete, and its root free again."""
    assert not is_locked(root)
    assert len(read_flight(flights(root)[-1]).of_topic(topic)) == 3
