"""The launch file: what it declares, and what it does when it really runs."""

from __future__ import annotations

import ast
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from flights import read_whole_chunks

from fdr_recorder import FdrConfig
from fdr_recorder.config import OPTIONS

if TYPE_CHECKING:
    from node_helpers import Ground

SOURCE = Path(__file__).resolve().parents[1] / 'launch' / 'recorder.launch.py'
ARGUMENTS = ('params_file', 'flight_root', 'namespace', 'autostart', 'log_level')
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


# --- without ROS -------------------------------------------------------------------------------


def test_it_declares_its_arguments_and_describes_each() -> None:
    tree = ast.parse(SOURCE.read_text(encoding='utf-8'), SOURCE)
    compile(tree, SOURCE, 'exec')
    declared = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == 'DeclareLaunchArgument':
            keywords = {word.arg: word.value for word in call.keywords}
            declared[ast.literal_eval(call.args[0])] = keywords
    assert tuple(declared) == ARGUMENTS
    for name, keywords in declared.items():
        assert ast.literal_eval(keywords['description']), name
        assert 'default_value' in keywords, name
    assert ast.literal_eval(declared['autostart']['default_value']) == 'false'


# --- for real ----------------------------------------------------------------------------------


def installed_launch_file() -> Path:
    """Return the launch file that `ros2 launch` would find; skip where nothing can run it."""
    for module in ('launch', 'launch_ros'):
        spec = importlib.util.find_spec(module)
        # The directory launch/ of a checkout looks like a package without an origin.
        if spec is None or spec.origin is None:
            pytest.skip(f'{module} is not installed; it comes with a ROS 2 installation')
    from node_helpers import ros_environment

    for prefix in ros_environment(0)['AMENT_PREFIX_PATH'].split(os.pathsep):
        index = Path(prefix, 'share/ament_index/resource_index/packages')
        if (index / 'fdr_recorder').exists():
            return Path(prefix, 'share/fdr_recorder/launch', SOURCE.name)
    pytest.skip('fdr_recorder is not in the ament index; install it, or source its workspace')


class Launch:
    """The launch in a process of its own, from `__enter__` to `__exit__` at the latest."""

    def __init__(
        self, ground: Ground, directory: Path, *, namespace: str = '', **arguments: object
    ) -> None:
        self.ground = ground
        self.node = f'/{namespace}/fdr_recorder' if namespace else '/fdr_recorder'
        self._directory = directory
        self._log = directory / 'launch.log'
        self._arguments = {'namespace': namespace, **arguments}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Launch:
        from node_helpers import ros_environment

        arguments = [f'{name}:={value}' for name, value in self._arguments.items()]
        with self._log.open('wb') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-c', RUN, str(installed_launch_file()), *arguments],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    **ros_environment(self.ground.domain_id),
                    'ROS_LOG_DIR': str(self._directory / 'ros_log'),
                    'PYTHONUNBUFFERED': '1',
                },
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

    def interrupt(self) -> int:
        """Send SIGINT to the launch alone, and return its exit code."""
        os.kill(self.pid, signal.SIGINT)
        return self.wait_for_end()

    def state(self) -> str:
        from lifecycle_msgs.srv import GetState

        response = self.ground.call(GetState, f'{self.node}/get_state', GetState.Request())
        return str(response.current_state.label)

    def make(self, *transitions: str) -> None:
        """Make transitions that must succeed."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        for name in transitions:
            number = getattr(Transition, f'TRANSITION_{name.upper()}')
            request = ChangeState.Request(transition=Transition(id=number))
            response = self.ground.call(ChangeState, f'{self.node}/change_state', request)
            assert response.success, f'{name} refused; log:\n{self.log}'

    def options(self) -> dict[str, object]:
        """Ask for the values of all parameters that are options."""
        from rcl_interfaces.srv import GetParameters
        from rclpy.parameter import parameter_value_to_python

        request = GetParameters.Request(names=list(OPTIONS))
        response = self.ground.call(GetParameters, f'{self.node}/get_parameters', request)
        return dict(zip(OPTIONS, map(parameter_value_to_python, response.values), strict=True))


@pytest.fixture
def ground() -> Iterator[Ground]:
    installed_launch_file()
    from node_helpers import own_ground

    with own_ground() as ground:
        yield ground


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    """Return a parameter file for one topic, on a disk of any size."""
    values = {
        'flight_root': '/there/is/no/such/root',
        'topics': ['chatter'],
        'writer': {'flush_interval_s': 0.05, 'min_free_bytes': 0, 'reserve_bytes': 0},
    }
    path = tmp_path / 'vehicle.yaml'
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': values}}))
    return path


def flights(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()]


def fly(ground: Ground, root: Path, topic: str) -> None:
    """Publish three messages and wait until they are on disk."""
    from node_helpers import String

    publisher = ground.publisher(String, topic)
    for number in range(3):
        publisher.publish(String(data=str(number)))
    (flight,) = flights(root)
    segment = flight / 'segment_000000.mcap'

    def stored() -> bool:
        return sum(message.topic == topic for message in read_whole_chunks(segment)) == 3

    ground.wait_until(stored, f'three messages of {topic} on disk')


def check_end(launch: Launch, root: Path, topic: str) -> None:
    """The flight is complete, and nothing else is left of the launch."""
    from node_helpers import is_locked, read_flight

    assert 'Traceback' not in launch.log
    assert 'escalating' not in launch.log  # the first signal was enough
    assert not launch.processes()
    assert not is_locked(root)
    (path,) = flights(root)
    assert len(read_flight(path).of_topic(topic)) == 3


def test_autostart_records_and_an_interrupt_completes_the_flight(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    arguments = {'params_file': params_file, 'flight_root': root, 'autostart': 'true'}
    with Launch(ground, tmp_path, **arguments) as launch:
        ground.wait_until(lambda: launch.state() == 'active', 'active')
        fly(ground, root, '/chatter')
        assert launch.interrupt() == 0, launch.log
        check_end(launch, root, '/chatter')


def test_autostart_is_for_the_first_time_only(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    arguments = {'params_file': params_file, 'flight_root': root, 'autostart': 'true'}
    with Launch(ground, tmp_path, **arguments) as launch:
        ground.wait_until(lambda: launch.state() == 'active', 'active')
        fly(ground, root, '/chatter')
        launch.make('deactivate', 'cleanup', 'configure')
        seen = len(ground.arrays)
        ground.wait_until(lambda: len(ground.arrays) > seen + 2, 'two more seconds of summaries')
        assert launch.state() == 'inactive'
        assert launch.interrupt() == 0, launch.log
        check_end(launch, root, '/chatter')


def test_without_autostart_it_waits_for_its_transitions(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    arguments = {'params_file': params_file, 'flight_root': root}
    with Launch(ground, tmp_path, namespace='drone_7', **arguments) as launch:
        assert launch.state() == 'unconfigured'
        launch.make('configure', 'activate')
        fly(ground, root, '/drone_7/chatter')
        launch.make('deactivate', 'cleanup')
        assert launch.interrupt() == 0, launch.log
        check_end(launch, root, '/drone_7/chatter')


def test_by_itself_it_takes_the_installed_parameter_file(ground: Ground, tmp_path: Path) -> None:
    with Launch(ground, tmp_path) as launch:
        assert FdrConfig.from_options(launch.options()) == FdrConfig()
        assert launch.interrupt() == 0, launch.log
        assert not launch.processes()


def test_a_missing_parameter_file_is_an_error(ground: Ground, tmp_path: Path) -> None:
    with Launch(ground, tmp_path, params_file='missing.yaml') as launch:
        assert launch.wait_for_end() == 1
        assert 'missing.yaml is not a file' in launch.log
        assert not launch.processes()
