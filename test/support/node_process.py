# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A node under test as a real process, its parameters and its diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any, TypeVar

from fork_server import CHECKOUT, fork_server, ForkedProcess
from ground import DiagnosticStatus, Ground, has_alert, values_of
import pytest
from rcl_interfaces.msg import Parameter, ParameterDescriptor
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.parameter import Parameter as ClientParameter
from rclpy.parameter import parameter_value_to_python
from ros_domain import ros_environment

END_DEADLINE_S = 15.0
_Node = TypeVar('_Node', bound='NodeProcess')


class NodeProcess:
    """
    A node in a process of its own, from `__enter__` to `__exit__` at the latest.

    Args:
        ground: Who drives and watches it.
        directory: For its parameter file and its log.
        module: What Python runs.
        name: Of the node.
        environment: More environment variables; None for one that is not set.
        parameters: Text of the parameter file, instead of `options`.
        arguments: More ROS arguments.
        forked: Whether the fork server may start it, instead of an interpreter of its own.
        options: ROS parameters, a dot written as two underscores.

    """

    def __init__(
        self,
        ground: Ground,
        directory: Path,
        module: str,
        name: str,
        *,
        environment: Mapping[str, str | None] | None = None,
        parameters: str = '',
        arguments: Sequence[str] = (),
        forked: bool = True,
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
        self._module = module
        self._arguments = ['--ros-args', '--params-file', str(self._parameters)]
        self._arguments += ['-r', f'__node:={name}', *arguments]
        python_path = [(environment or {}).get('PYTHONPATH'), str(CHECKOUT)]
        variables: dict[str, str | None] = {
            **os.environ,
            **ros_environment(ground.domain_id),
            'ROS_LOG_DIR': str(directory / 'ros_log'),
            'PYTHONUNBUFFERED': '1',
            **(environment or {}),
            'PYTHONPATH': os.pathsep.join(path for path in python_path if path),
        }
        self._environment = {key: text for key, text in variables.items() if text is not None}
        self._is_forked = forked and not environment
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    def start(self: _Node) -> _Node:
        """Start the process, or another one after its end; do not wait for it."""
        with self._log.open('ab') as log, Path(os.devnull).open() as nothing:
            if self._is_forked:
                self._process = fork_server().start(
                    self._module,
                    self._arguments,
                    self._environment,
                    (nothing.fileno(), log.fileno(), log.fileno()),
                )
            else:
                self._process = subprocess.Popen(
                    [sys.executable, '-m', self._module, *self._arguments],
                    stdin=nothing,
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
    def process(self) -> subprocess.Popen[bytes] | ForkedProcess:
        """Return the started process."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        """Return what it has written to its terminal."""
        return self._log.read_text(errors='replace')

    def wait_for_log(self, text: str, times: int = 1) -> list[str]:
        """Return the log's lines with this text, once there are so many: another thread writes."""

        def found() -> list[str]:
            return [line for line in self.log.splitlines() if text in line]

        self.ground.wait_until(lambda: len(found()) >= times, f'{text!r} in the log')
        return found()

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

    def at_once(self, part: str, *, count: int = 0) -> list[DiagnosticStatus]:
        """
        Return the statuses of a fault group that came because an alert was raised or cleared.

        They come alone; those that come once a second come with the summary, and may be faster:
        wait until there are `count`.
        """

        def found() -> list[DiagnosticStatus] | None:
            alone = [
                array.status[0]
                for array in self.ground.arrays
                if len(array.status) == 1 and array.status[0].name == f'{self.name}: {part}'
            ]
            return alone if len(alone) >= count else None

        if count:
            self.ground.wait_until(found, f'{count} of {part} at once')
        return found() or []

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
