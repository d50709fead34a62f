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
The recorder as a real process, and the ground station that drives and watches it.

Importing this module skips the tests of a module where ROS 2 is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
import fcntl
import itertools
import json
import os
from pathlib import Path
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, TypeVar
from unittest import mock

from fdr_recorder.storage.recording import FlightSummary
from flights import check_flight, FlightFiles, Message, open_flight_files, read_whole_chunks
import pytest

try:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from geometry_msgs.msg import PointStamped
    from lifecycle_msgs.msg import Transition, TransitionEvent
    from lifecycle_msgs.srv import ChangeState, GetState
    from rcl_interfaces.msg import Parameter, ParameterDescriptor, ParameterType
    from rcl_interfaces.srv import (
        DescribeParameters,
        GetParameters,
        ListParameters,
        SetParameters,
    )
    import rclpy
    from rclpy import subscription
    from rclpy.context import Context
    from rclpy.duration import Duration
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.parameter import Parameter as ClientParameter
    from rclpy.parameter import parameter_value_to_python
    from rclpy.qos import (
        DurabilityPolicy,
        QoSProfile,
        ReliabilityPolicy,
    )
    from rclpy.serialization import serialize_message
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Image, Imu
    from std_msgs.msg import String
except ImportError as missing:
    pytest.skip(f'ROS 2 is not installed here: {missing}', allow_module_level=True)

__all__ = [
    'BEST_EFFORT',
    'DEADLINE_S',
    'LATCHED',
    'PUBLISHERS_ARE_TOLD',
    'RELIABLE',
    'DiagnosticStatus',
    'Duration',
    'Ground',
    'Image',
    'Imu',
    'NodeProcess',
    'ParameterType',
    'PointStamped',
    'PublisherProcess',
    'RecorderProcess',
    'String',
    'are_the_same',
    'has_alert',
    'is_locked',
    'own_domain',
    'own_ground',
    'read_flight',
    'serialize_message',
    'values_of',
]

PUBLISHERS_ARE_TOLD = hasattr(subscription, 'MessageInfo')
"""Whether rclpy says who has published a message; that of Jazzy does not."""
CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
END_DEADLINE_S = 15.0
_DOMAINS = range(1, 101)  # above 101 the ports overlap those that Linux gives to clients
_lent = itertools.count()  # each test's domain is another: what was killed lingers in the graph
_SLICE_S = 0.02
_T = TypeVar('_T')
_Node = TypeVar('_Node', bound='NodeProcess')

RELIABLE = QoSProfile(depth=1000)
BEST_EFFORT = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

_QUICK = {
    'writer.flush_interval_s': 0.05,
    'writer.sync_interval_s': 0.1,
    'writer.min_free_bytes': 0,
    'writer.reserve_bytes': 0,
}
"""Everything soon, on a disk of any size."""

_TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
    'unconfigured shutdown': Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    'inactive shutdown': Transition.TRANSITION_INACTIVE_SHUTDOWN,
    'active shutdown': Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


@contextmanager
def own_domain() -> Iterator[int]:
    """Lend a ROS domain that no other test of this machine's user has at the time."""
    locks = Path(tempfile.gettempdir()) / f'fdr_recorder_test_domains_{os.getuid()}'
    locks.mkdir(exist_ok=True)
    for _ in _DOMAINS:
        domain_id = _DOMAINS[(os.getpid() + next(_lent)) % len(_DOMAINS)]
        with (locks / str(domain_id)).open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain_id
            return
    pytest.fail('all ROS domains are in use')


def ros_environment(domain_id: int) -> dict[str, str]:
    """Return the environment variables that keep a process within one domain of this host."""
    return {
        'AMENT_PREFIX_PATH': os.environ.get('AMENT_PREFIX_PATH', sys.prefix),
        'FASTDDS_DEFAULT_PROFILES_FILE': str(Path(__file__).with_name('quick_discovery.xml')),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(domain_id),
    }


@contextmanager
def own_ground() -> Iterator[Ground]:
    """Lend a ground station in a domain of its own."""
    with own_domain() as domain_id, Ground(domain_id) as ground:
        yield ground


class Ground:
    """
    The ground station: a node in the test's process, with a context of its own.

    It spins only while the test waits for something, in the test's thread.

    Attributes:
        domain_id: The ROS domain that it is in.
        node: The node.
        arrays: Every message of `/diagnostics`, in order.
        events: Every state change of every recorder: node name, start state, goal state.

    """

    def __init__(self, domain_id: int) -> None:
        self.domain_id = domain_id
        self.arrays: list[DiagnosticArray] = []
        self.events: list[tuple[str, str, str]] = []
        self._clients: dict[str, Any] = {}
        self._context = Context()
        with mock.patch.dict(os.environ, ros_environment(domain_id)):
            rclpy.init(
                context=self._context,
                domain_id=domain_id,
                signal_handler_options=SignalHandlerOptions.NO,
            )
            self.node = rclpy.create_node(
                'ground',
                context=self._context,
                start_parameter_services=False,
                enable_rosout=False,
            )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.listen('/diagnostics', self.arrays)

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.shutdown()
        self._context.destroy()

    # --- waiting -----------------------------------------------------------------------------

    def spin(self) -> None:
        """Receive what is there, or what comes in a moment."""
        self._executor.spin_once(timeout_sec=_SLICE_S)

    def wait_until(
        self,
        condition: Callable[[], _T],
        what: str = 'the condition',
        deadline_s: float = DEADLINE_S,
    ) -> _T:
        """Return the first true value of `condition`; fail the test if there is none in time."""
        deadline = time.monotonic() + deadline_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                message = f'{what} did not come true within {deadline_s} s'
                raise AssertionError(message)
            self.spin()

    def client(self, service_type: Any, name: str) -> Any:
        """Return the client of a service; there is one for each."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(service_type, name)
        return self._clients[name]

    def call(
        self, service_type: Any, name: str, request: Any, *, again_after_s: float = DEADLINE_S
    ) -> Any:
        """
        Call a service and return its response.

        Args:
            service_type: For example `GetState`.
            name: Of the service.
            request: What is asked.
            again_after_s: Ask again after so long. The first answer of all can be lost: the
                service may know the question before it knows who is to get the answer.

        """
        client = self.client(service_type, name)
        self.wait_until(client.service_is_ready, f'service {name}')
        futures = [client.call_async(request)]
        asked_at = time.monotonic()

        def answered() -> bool:
            nonlocal asked_at
            if time.monotonic() - asked_at > again_after_s:
                futures.append(client.call_async(request))
                asked_at = time.monotonic()
            return any(future.done() for future in futures)

        self.wait_until(answered, f'the answer of {name}')
        return next(future.result() for future in futures if future.done())

    # --- topics ------------------------------------------------------------------------------

    def publisher(
        self, message_type: Any, topic: str, qos: QoSProfile = RELIABLE, *, recorders: int = 1
    ) -> Any:
        """Return a publisher, as soon as so many recorders subscribe to it."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        self.wait_until(
            lambda: publisher.get_subscription_count() >= recorders, f'a subscriber of {topic}'
        )
        return publisher

    def gids(self, topic: str) -> set[str]:
        """
        Return the gids of a topic's publishers, hexadecimal, as recordings have them.

        Where rclpy does not tell who publishes, that is one without a name.
        """
        if not PUBLISHERS_ARE_TOLD:
            return {''}
        endpoints = self.node.get_publishers_info_by_topic(topic)
        return {bytes(endpoint.endpoint_gid).hex() for endpoint in endpoints}

    # --- diagnostics -------------------------------------------------------------------------

    def listen(self, topic: str, arrays: list[DiagnosticArray]) -> None:
        """Collect a topic's diagnostics."""
        self.node.create_subscription(DiagnosticArray, topic, arrays.append, RELIABLE)

    def hear_events_of(self, node_name: str) -> None:
        """Collect the state changes of a lifecycle node."""

        def collect(event: TransitionEvent) -> None:
            self.events.append((node_name, event.start_state.label, event.goal_state.label))

        self.node.create_subscription(
            TransitionEvent, f'/{node_name}/transition_event', collect, RELIABLE
        )


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    """Return the key-value pairs of a status."""
    return {item.key: item.value for item in status.values}


class NodeProcess:
    """
    A node in a process of its own, from `__enter__` to `__exit__` at the latest.

    Args:
        ground: Who drives and watches it.
        directory: For its parameter file and its log.
        module: What Python runs.
        name: Of the node.
        environment: More environment variables.
        parameters: Text of the parameter file, instead of `options`.
        arguments: More ROS arguments.
        options: ROS parameters, a dot written as two underscores.

    """

    def __init__(
        self,
        ground: Ground,
        directory: Path,
        module: str,
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        parameters: str = '',
        arguments: Sequence[str] = (),
        options: Mapping[str, object],
    ) -> None:
        self.ground = ground
        self.name = name
        self._log = directory / f'{name}.log'
        self._parameters = directory / f'{name}.yaml'
        named = {key.replace('__', '.'): value for key, value in options.items()}
        self._parameters.write_text(
            parameters or json.dumps({'/**': {'ros__parameters': named}}, indent=2)
        )
        self._command = [sys.executable, '-m', module, '--ros-args']
        self._command += ['--params-file', str(self._parameters), '-r', f'__node:={name}']
        self._command += arguments
        python_path = [(environment or {}).get('PYTHONPATH'), str(CHECKOUT)]
        self._environment = {
            **os.environ,
            **ros_environment(ground.domain_id),
            'ROS_LOG_DIR': str(directory / 'ros_log'),
            'PYTHONUNBUFFERED': '1',
            **(environment or {}),
            'PYTHONPATH': os.pathsep.join(path for path in python_path if path),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self: _Node) -> _Node:
        """Start the process, or another one after its end; do not wait for it."""
        with self._log.open('ab') as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        return self

    def __enter__(self: _Node) -> _Node:
        return self.start()

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    # --- the process -------------------------------------------------------------------------

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Return the started process."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        """Return what it has written to its terminal."""
        return self._log.read_text(errors='replace')

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_for_end(self) -> int:
        """Return its exit code, once it has ended by itself."""
        try:
            return self.process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f'{self.name} did not end; its log:\n{self.log}')

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send it a signal and return its exit code."""
        self.send(number)
        return self.wait_for_end()

    # --- its parameters ----------------------------------------------------------------------

    def parameter_names(self) -> set[str]:
        """List its parameters."""
        request = ListParameters.Request()
        response = self.ground.call(ListParameters, f'/{self.name}/list_parameters', request)
        return set(response.result.names)

    def describe(self, names: Sequence[str]) -> list[ParameterDescriptor]:
        """Ask for the descriptors of parameters."""
        request = DescribeParameters.Request(names=list(names))
        response = self.ground.call(
            DescribeParameters, f'/{self.name}/describe_parameters', request
        )
        return list(response.descriptors)

    def get(self, name: str) -> Any:
        """Ask for the value of a parameter."""
        request = GetParameters.Request(names=[name])
        response = self.ground.call(GetParameters, f'/{self.name}/get_parameters', request)
        return parameter_value_to_python(response.values[0])

    def set(self, name: str, value: object) -> str:
        """Set a parameter; return why that was refused, nothing if it was not."""
        parameter: Parameter = ClientParameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        response = self.ground.call(SetParameters, f'/{self.name}/set_parameters', request)
        (result,) = response.results
        assert result.successful or result.reason
        return '' if result.successful else str(result.reason)

    # --- its diagnostics ---------------------------------------------------------------------

    def statuses(self, part: str) -> list[DiagnosticStatus]:
        """Return every status of this part (`summary` or a fault group) until now."""
        return [
            status
            for array in self.ground.arrays
            for status in array.status
            if status.name == f'{self.name}: {part}'
        ]

    def at_once(self, part: str) -> list[DiagnosticStatus]:
        """
        Return the statuses of a fault group that came because an alert was raised or cleared.

        They come alone; those that come once a second come with the summary.
        """
        return [
            array.status[0]
            for array in self.ground.arrays
            if len(array.status) == 1 and array.status[0].name == f'{self.name}: {part}'
        ]

    def wait_for_alert(self, part: str, code: str) -> DiagnosticStatus:
        """Return the first status of the group that says that this fault is present."""

        def found() -> DiagnosticStatus | None:
            return next((item for item in self.statuses(part) if has_alert(item, code)), None)

        status = self.ground.wait_until(found, f'alert {code}')
        assert status is not None
        return status

    def wait_for_ok(self, part: str) -> DiagnosticStatus:
        """Return the newest status of the group once it says that all is well."""

        def found() -> DiagnosticStatus | None:
            statuses = self.statuses(part)
            is_ok = statuses and statuses[-1].level == DiagnosticStatus.OK
            return statuses[-1] if is_ok else None

        status = self.ground.wait_until(found, f'{part} OK')
        assert status is not None
        return status

    def wait_for_summary(
        self, condition: Callable[[dict[str, str]], bool], what: str
    ) -> DiagnosticStatus:
        """Return the first summary from now on whose values fulfil a condition."""
        seen = len(self.statuses('summary'))

        def found() -> DiagnosticStatus | None:
            later = self.statuses('summary')[seen:]
            return next((item for item in later if condition(values_of(item))), None)

        status = self.ground.wait_until(found, what)
        assert status is not None
        return status


class RecorderProcess(NodeProcess):
    """
    The recorder in a process of its own, from `__enter__` to `__exit__` at the latest.

    Args:
        ground: Who drives it.
        directory: For its parameter file and its log.
        root: The flight root.
        name: Of the node.
        environment: More environment variables.
        arguments: More ROS arguments.
        parameters: Text of the parameter file, instead of `root` and `options`.
        options: ROS parameters, a dot written as two underscores.

    """

    def __init__(
        self,
        ground: Ground,
        directory: Path,
        root: Path | None = None,
        *,
        name: str = 'fdr_recorder',
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        parameters: str = '',
        **options: object,
    ) -> None:
        self.root = root if root is not None else directory / 'flights'
        super().__init__(
            ground,
            directory,
            'fdr_recorder.node',
            name,
            environment=environment,
            arguments=arguments,
            parameters=parameters,
            options={'flight_root': str(self.root), **_QUICK, **options},
        )

    def __enter__(self: _Node) -> _Node:
        if self._process is None:
            self.start()
        try:
            self.ground.hear_events_of(self.name)
            # The recorder meets them in this order: who answers the latter knows the former.
            self.ground.client(ChangeState, f'/{self.name}/change_state')
            client = self.ground.client(GetState, f'/{self.name}/get_state')
            self.ground.wait_until(
                lambda: client.service_is_ready() or self.process.poll() is not None,
                'the recorder in the graph',
            )
            assert self.process.poll() is None, f'the recorder has ended:\n{self.log}'
            assert self.state()
        except BaseException:
            self.__exit__()
            raise
        return self

    # --- its lifecycle -----------------------------------------------------------------------

    def state(self) -> str:
        """Ask for its state."""
        response = self.ground.call(
            GetState, f'/{self.name}/get_state', GetState.Request(), again_after_s=2
        )
        return str(response.current_state.label)

    def change_state(self, transition: str) -> bool:
        """Ask for a transition; return whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=_TRANSITIONS[transition]))
        return bool(
            self.ground.call(ChangeState, f'/{self.name}/change_state', request).success
        )

    def make(self, *transitions: str) -> None:
        """Make transitions that must succeed."""
        for transition in transitions:
            assert self.change_state(transition), f'{transition} refused; log:\n{self.log}'

    @property
    def events(self) -> list[tuple[str, str]]:
        """Its state changes, as another process sees them: from which state to which."""
        return [(start, goal) for name, start, goal in self.ground.events if name == self.name]

    # --- its flights -------------------------------------------------------------------------

    def flights(self) -> list[Path]:
        """Return the directories of all flights, oldest first."""
        paths = [path for path in self.root.iterdir() if path.is_dir()]
        return sorted(paths, key=lambda path: path.stat().st_ctime_ns)

    def read_flight(self) -> FlightFiles:
        """Read the only flight, which must be complete."""
        (path,) = self.flights()
        return read_flight(path)

    def stored_messages(self, topic: str) -> list[Message]:
        """Return the messages that the newest flight has on disk, in its first segment."""
        path = self.flights()[-1] / 'segment_000000.mcap'
        return [message for message in read_whole_chunks(path) if message.topic == topic]

    def stored(self, topic: str) -> int:
        """Return how many messages the newest flight has on disk, in its first segment."""
        return len(self.stored_messages(topic))


def has_alert(status: DiagnosticStatus, code: str) -> bool:
    """Tell whether a status says that this fault is present."""
    return status.level != DiagnosticStatus.OK and any(
        item.key.split(' ')[0] == code for item in status.values
    )


def read_flight(path: Path, *, dropped: Sequence[int] = ()) -> FlightFiles:
    """Read a complete flight with every reader, and check all that must hold for it."""
    footer = open_flight_files(path).footer
    return check_flight(FlightSummary(path.name, path, footer, True), dropped=dropped)


def is_locked(root: Path) -> bool:
    """Tell whether some process owns the flight root."""
    with (root / '.fdr.lock').open('r+') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def are_the_same(recorded: Sequence[Message], published: Sequence[Any]) -> bool:
    """
    Tell whether the records are these messages, byte for byte and in this order.

    Give serialised messages where the type has gaps: what the serialisation leaves in them is
    left to chance. Between two processes the middleware pads some messages with zeros to 4 bytes.
    """
    if len(recorded) != len(published):
        return False
    for record, message in zip(recorded, published, strict=True):
        data = message if isinstance(message, bytes) else bytes(serialize_message(message))
        padding = record.data[len(data):]
        if record.data[: len(data)] != data or padding != bytes(len(padding)) or len(padding) > 3:
            return False
    return True


class PublisherProcess:
    """A publisher in a process of its own: `publisher_process.py`, spoken to by lines."""

    def __init__(self, ground: Ground, directory: Path, topic: str, **options: object) -> None:
        """Start it; see `publisher_process.py` for the options."""
        arguments = [f'--{name.replace("_", "-")}={value}' for name, value in options.items()]
        self._topic = topic
        self._log = (directory / f'publisher{topic.replace("/", "_")}.log').open('ab')
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name('publisher_process.py')),
                topic,
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **ros_environment(ground.domain_id)},
            start_new_session=True,
        )

    def __enter__(self) -> PublisherProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def ask(self, *words: object) -> dict[str, Any]:
        """Say one line and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(' '.join(map(str, words)) + '\n')
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """Return what it says next."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], DEADLINE_S)
        line = self._process.stdout.readline() if ready else ''
        assert line, f'the publisher of {self._topic} says nothing'
        return dict(json.loads(line))

    def leave(self) -> None:
        """End it in good order, so that it says goodbye to the graph."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(END_DEADLINE_S) == 0
