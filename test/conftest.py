# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What all tests share: nothing may be left behind, and how to put a recorder together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
import os
from pathlib import Path
import signal
import threading
from typing import TYPE_CHECKING

from false_clock import FalseClock
from fdr_recorder import Alert, AlertBoard, FdrWriterConfig, FileFdrWriter
from fork_server import server_pids
from hypothesis import HealthCheck, settings
from producers import make_client, open_flight, send
import pytest
from store_places import moto, place, weed  # noqa: F401 - fixtures
from waiting import wait_until

if TYPE_CHECKING:
    from ground import Ground

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell runs the tests in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what they start can be interrupted

settings.register_profile('fdr', deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('fdr')  # these machines are slow at times


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means: more workers than processors, as many tests mostly wait."""
    return 5 * len(os.sched_getaffinity(0)) // 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Spread the files of each room over the run, where several workers share it.

    Those of test/node mostly wait, those of test/flights mostly compute: one room after the other,
    the workers would get into each other's way first, and leave processors idle afterwards.
    """
    if 'PYTEST_XDIST_WORKER' not in os.environ:
        return
    rooms: dict[Path, dict[Path, None]] = {}
    for item in items:
        rooms.setdefault(item.path.parent, {})[item.path] = None
    order = {
        path: number / len(paths) for paths in rooms.values() for number, path in enumerate(paths)
    }
    items.sort(key=lambda item: order[item.path])


def _recorder_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith('fdr_')}


def _child_processes(pid: int | None = None) -> set[int]:
    """
    Return the children of a process, zombies and forks included (Linux: proc(5)).

    But for one that Python starts with the first process of a pool, and which ends with this one.
    """
    found: set[int] = set()
    for children in Path(f'/proc/{pid or "self"}/task').glob('*/children'):
        try:
            found.update(map(int, children.read_text().split()))
        except OSError:  # the thread has just ended
            continue
    found.discard(resource_tracker._resource_tracker._pid)  # type: ignore[attr-defined]
    for server in server_pids() & found:
        found = found - {server} | _child_processes(server)
    return found


def _file_locks() -> set[str]:
    """Return the locks that this process holds (Linux: /proc/locks)."""
    try:
        lines = Path('/proc/locks').read_text().splitlines()
    except OSError:
        return set()
    fields = [line.split() for line in lines]
    return {' '.join(line[1:]) for line in fields if line[4:5] == [str(os.getpid())]}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread of the recorder, a child process or a lock."""
    threads, children, locks = _recorder_threads(), _child_processes(), _file_locks()
    yield
    wait_until(lambda: _recorder_threads() <= threads, 'the end of all fdr_* threads')
    wait_until(lambda: _child_processes() <= children, 'the end of all child processes')
    assert _file_locks() <= locks


@pytest.fixture
def alerts() -> AlertBoard:
    """Return a board without alerts."""
    return AlertBoard()


@pytest.fixture
def told(alerts: AlertBoard) -> list[Alert]:
    """Return what a listener of the board hears."""
    heard: list[Alert] = []
    alerts.listen(heard.append)
    return heard


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FalseClock:
    """Return the system clock of this test; it may be set."""
    clock = FalseClock()
    monkeypatch.setattr('time.time_ns', clock)
    return clock


@contextmanager
def handled(number: signal.Signals, handler: signal.Handlers) -> Iterator[None]:
    """Let processes that start meanwhile ignore a signal, or not."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.fixture
def hangup_ends() -> Iterator[None]:
    """Let SIGHUP end what starts now, even if the tests themselves are run by `nohup`."""
    with handled(signal.SIGHUP, signal.SIG_DFL):
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty flight root."""
    path = tmp_path / 'flights'
    path.mkdir()
    return path


@pytest.fixture
def ground() -> Iterator[Ground]:
    """Return a ground station with a ROS domain of its own."""
    from ground import own_ground  # needs ROS 2, which most tests do not

    with own_ground() as ground:
        yield ground


QUICK = {
    'flush_interval_s': 0.05,
    'sync_interval_s': 0.1,
    'min_free_bytes': 0,
    'reserve_bytes': 0,
}
"""Options of the writer that suit most tests: everything soon, on a disk of any size."""

MakeWriter = Callable[..., FileFdrWriter]


@contextmanager
def writers(root: Path) -> Iterator[MakeWriter]:
    """Lend a function that makes a started writer; all are stopped at the end."""
    made: list[FileFdrWriter] = []

    def make(
        path: Path | None = None, *, alerts: AlertBoard | None = None, **options: object
    ) -> FileFdrWriter:
        config = FdrWriterConfig(**{**QUICK, **options})  # type: ignore[arg-type]
        writer = FileFdrWriter(path or root, config, alerts=alerts)
        writer.start()
        made.append(writer)
        return writer

    yield make
    for writer in made:
        writer.stop()


@pytest.fixture
def make_writer(root: Path) -> Iterator[MakeWriter]:
    """Return a function that makes a started writer; it is stopped after the test."""
    with writers(root) as make:
        yield make


SMALL = {'segment_size_bytes': 16 * 1024, 'chunk_size_bytes': 2048, 'flush_interval_s': 60.0}
"""Options of the writer that make a flight of many segments and chunks out of few records."""

Record = Callable[..., Path]


@pytest.fixture
def record_flight(make_writer: MakeWriter, root: Path) -> Record:
    """Return a function that records a flight of some segments, and closes it or not."""

    def make(flight_id: str = 'x', *, close: bool, count: int = 60, **options: object) -> Path:
        writer, client = make_writer(**{**SMALL, **options}), make_client('/blob', '0a')
        open_flight(writer, flight_id, client)
        send(client, range(count), 500)
        if close:
            writer.close_flight(flight_id)
        writer.stop()
        return root / flight_id

    return make
