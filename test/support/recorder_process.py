# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The recorder as a real process: its lifecycle and its flights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import fcntl
from pathlib import Path
from typing import Any, TypeVar

from fdr_recorder.storage.footer import FlightSummary
from flight_check import (
    check_flight,
    FlightFiles,
    Message,
    open_flight_files,
    read_whole_chunks,
)
from ground import Ground, serialize_message
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_process import NodeProcess

_Recorder = TypeVar('_Recorder', bound='RecorderProcess')

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


class RecorderProcess(NodeProcess):
    """
    The recorder in a process of its own, from `__enter__` to `__exit__` at the latest.

    Args:
        ground: Who drives it.
        directory: For its parameter file and its log.
        root: The flight root.
        name: Of the node.
        environment: More environment variables; None for one that is not set.
        arguments: More ROS arguments.
        parameters: Text of the parameter file, instead of `root` and `options`.
        forked: Whether the fork server may start it, instead of an interpreter of its own.
        options: ROS parameters, a dot written as two underscores.

    """

    def __init__(
        self,
        ground: Ground,
        directory: Path,
        root: Path | None = None,
        *,
        name: str = 'fdr_recorder',
        environment: Mapping[str, str | None] | None = None,
        arguments: Sequence[str] = (),
        parameters: str = '',
        forked: bool = True,
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
            forked=forked,
            options={'flight_root': str(self.root), **_QUICK, **options},
        )

    def __enter__(self: _Recorder) -> _Recorder:
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
            if not self.change_state(transition):
                self.stop()  # then the log has its last line
                message = f'{transition} refused; log:\n{self.log}'
                raise AssertionError(message)

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
