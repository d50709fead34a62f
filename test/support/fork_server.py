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
Processes of Python that start at once, as forks of one that has imported what they need.

Importing rclpy and the recorder takes a second of processor time, the command line a third of one,
and the tests start hundreds of both. As a program, this module is the process that is forked; it
obeys the socket that is its standard input, and kills what is left of its children when the tests
have ended.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
import ctypes
from functools import cache
import gc
import importlib
import json
import os
from pathlib import Path
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

from without_override import drop_override_of_this_process

CHECKOUT = Path(__file__).resolve().parents[2]
_PRELOADED = {
    'nodes': (
        'fdr_recorder.node.main',
        'fdr_recorder.node.trigger',
        'fdr_recorder.node.gcs_bridge',
        'std_msgs.msg',
    ),
    # What the verbs import when they run; none of it needs ROS.
    'files': (
        *(
            f'fdr_recorder.cli.{name}'
            for name in (
                'cat check export info live_screen ls main play program prune recover report '
                'tables tail top verify'
            ).split()
        ),
        *(
            f'fdr_recorder.flights.{name}'
            for name in (
                'export follow in_use info list_recording live.root_watch prune recording '
                'recovery.recover verify'
            ).split()
        ),
        'numpy',
        'rich.progress',
        'rosbags.typesys',
        'producers',
    ),
    # What comes with the extra `fleet`, in part as large as all the rest.
    'fleet': (
        'fdr_recorder.cli.main',
        'fdr_recorder.fleet.offload_root',
        'fdr_recorder.fleet.s3',
    ),
}
"""What the processes of a server have imported."""
_REQUEST_BYTES = 1 << 17


class ForkedProcess:
    """A process that the fork server has started; has what tests use of `subprocess.Popen`."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._pidfd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code once it has ended; raise `TimeoutExpired` after so many seconds."""
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            if not ended.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(f'process {self.pid}', timeout or 0)
            self.returncode = self._server.ask({'wait_for': self.pid})
            os.close(self._pidfd)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that is forked; each process that runs tests has one of a kind at most."""

    def __init__(self, kind: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, kind],
                stdin=theirs,
                # numpy would start threads otherwise, which a fork does not have.
                env=os.environ | {'PYTHONPATH': str(CHECKOUT), 'OPENBLAS_NUM_THREADS': '1'},
                start_new_session=True,
            )
        self.pid = self._process.pid

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        stdio: Sequence[int],
        cwd: Path | None = None,
        *,
        stopped_by_permissions: bool = False,
    ) -> ForkedProcess:
        """
        Run a module as `python -m` does, in a process and a session of its own.

        Args:
            module: Its name.
            arguments: Of the command line.
            environment: All environment variables. `PYTHONPATH` and the like have no effect.
            stdio: The descriptors of standard input, output and error.
            cwd: Its current directory, else that of the tests.
            stopped_by_permissions: Also where the tests run as root.

        """
        request = {
            'module': module,
            'arguments': [*arguments],
            'environment': {**environment},
            'cwd': str(cwd or Path.cwd()),
            'stopped_by_permissions': stopped_by_permissions,
        }
        return ForkedProcess(self, self.ask(request, stdio))

    def ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> int:
        """Send a request and return the answer."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], fds)
            answer = self._socket.recv(_REQUEST_BYTES)
        assert answer, 'the fork server has ended'
        return int(answer)

    def stop(self) -> None:
        """End it, and with it the processes that it has started."""
        self._socket.close()
        self._process.wait()


@cache
def fork_server(kind: str = 'nodes') -> ForkServer:
    """Return the fork server of this process for nodes, or `files`; start it at the first call."""
    server = ForkServer(kind)
    atexit.register(server.stop)
    _servers.append(server)
    return server


_servers: list[ForkServer] = []


def server_pids() -> set[int]:
    """Return the processes of the started servers."""
    return {server.pid for server in _servers}


def _serve(connection: socket.socket, kind: str) -> None:
    for name in _PRELOADED[kind]:
        importlib.import_module(name)
    gc.freeze()
    children: set[int] = set()
    while True:
        text, fds, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, 3)
        if not text:
            break
        request = json.loads(text)
        if 'wait_for' in request:
            pid, status = os.waitpid(request['wait_for'], 0)
            children.remove(pid)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                connection.close()
                _become(fds=fds, **request)
                return
            children.add(answer)
            for fd in fds:
                os.close(fd)
        connection.send(str(answer).encode())
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _become(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    fds: list[int],
    cwd: str,
    stopped_by_permissions: bool,
) -> None:
    os.setsid()
    os.chdir(cwd)
    # Python ends as in any process. C libraries loaded before the fork do not clean up after it:
    # LTTng's, which rclpy loads, would end threads that only the fork server has, and crash.
    libc = ctypes.CDLL(None)
    libc.on_exit(libc._exit, None)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):  # buffered as the new ones are
        old = getattr(sys, name)
        setattr(sys, name, open(  # noqa: SIM115 - for as long as the process runs
            number,
            old.mode,
            1 if os.isatty(number) or name == 'stderr' else -1,
            encoding=old.encoding,
            errors=old.errors,
            closefd=False,
        ))
    if stopped_by_permissions and os.geteuid() == 0:
        drop_override_of_this_process()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    _connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull) as _nothing:  # noqa: PTH123
        os.dup2(_nothing.fileno(), 0)
    _serve(_connection, sys.argv[1])
