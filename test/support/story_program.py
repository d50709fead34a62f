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
Records a flight to which something happens, and ends it, or is killed.

Usage: `story_program.py ROOT STORY END`: it prints a line once the flight is as it is to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
import errno
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any, Final

from fdr_recorder import CapacityCapPolicy, FdrClient, FileFdrWriter, FlightHeader, RingConfig
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.record.kinds import RequestedTopic
from producers import make_client, numbered, send
from waiting import wait_until

FLIGHT_ID: Final = 'x'
_OPTIONS: Final[Mapping[str, Any]] = {
    'segment_size_bytes': 16 * 1024,
    'chunk_size_bytes': 2048,
    'flush_interval_s': 0.02,
    'sync_interval_s': 0.02,
    'min_free_bytes': 0,
    'reserve_bytes': 0,
}
STILL_S: Final = 0.4
_CAP_BYTES: Final = 3 * 16 * 1024


def complete(writer: FileFdrWriter) -> None:
    """Record all that is sent."""
    send(_open(writer, make_client('/blob', '0a')), range(60), 500)


def empty(writer: FileFdrWriter) -> None:
    """Send nothing."""
    _open(writer, make_client('/blob', '0a'))


def transport(writer: FileFdrWriter) -> None:
    """Lose messages before the recorder."""
    client = _open(writer, make_client('/blob', '0a'))
    send(client, range(5))
    client.count_transport_loss(6, 40)
    send(client, range(5))


def before_match(writer: FileFdrWriter) -> None:
    """Hear a publisher late."""
    client = _open(writer, make_client('/blob', '0a', loss_detection='sequence'))
    for number in range(5):
        client.enqueue(numbered(number), sequence=42 + number)
    client.count_before_match(1, 41)


def overrun(writer: FileFdrWriter) -> None:
    """Send more than the ring holds."""
    client = _open(writer, make_client('/blob', '0a', ring=RingConfig(max_records=10)))
    send(client, range(1000), patient=False)


def unseen(writer: FileFdrWriter) -> None:
    """Hear a publisher that nobody numbers."""
    send(_open(writer, make_client('/blob', '0a', loss_detection='none')), range(20))


def capacity(writer: FileFdrWriter) -> None:
    """Record more than the cap allows."""
    writer.on_rotation = CapacityCapPolicy(_CAP_BYTES, writer, writer.alerts).on_rotation
    send(_open(writer, make_client('/blob', '0a')), range(200), 500)


def write_error(writer: FileFdrWriter) -> None:
    """Record on a disk that refuses data for a while."""
    client = _open(writer, make_client('/blob', '0a', ring=RingConfig(max_records=20)))
    send(client, range(10))
    with _refused_writes():
        wait_until(lambda: _poke(writer, client).status.is_degraded, 'a refused write')
        send(client, range(60), patient=False)
        wait_until(
            lambda: writer.status.counters.records_dropped_write_error > 0, 'discarded records'
        )
    wait_until(lambda: not writer.status.is_degraded, 'the disk to be tried again')


def invalid(writer: FileFdrWriter) -> None:
    """Hand over a value that cannot be encoded."""
    client = _open(writer, make_client('/blob', '0a'))
    send(client, range(5))
    client.offer(1.5, 1, 5, numbered(5))  # type: ignore[arg-type]
    send(client, range(6, 10))


def silent(writer: FileFdrWriter) -> None:
    """Record one of two topics that were asked for."""
    asked = [RequestedTopic(name=name, topic=name, option='topics') for name in ('/blob', '/imu')]
    client = make_client('/blob', '0a')
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id=FLIGHT_ID, requested=tuple(asked)))
    send(client, range(60), 500)


STORIES: Final[Mapping[str, Callable[[FileFdrWriter], None]]] = {
    story.__name__: story
    for story in (
        complete, empty, silent, transport, before_match, overrun, unseen, capacity, write_error,
        invalid,
    )
}


def _open(writer: FileFdrWriter, client: FdrClient) -> FdrClient:
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id=FLIGHT_ID))
    return client


def _poke(writer: FileFdrWriter, client: FdrClient) -> FileFdrWriter:
    """Give the writer something to write."""
    client.enqueue(numbered(0))
    return writer


@contextmanager
def _refused_writes() -> Iterator[None]:
    """Have the disk refuse all data."""
    writev = os.writev

    def refuse(_fd: int, _buffers: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    os.writev = refuse
    try:
        yield
    finally:
        os.writev = writev


def _settle(writer: FileFdrWriter) -> None:
    """Wait until nothing more comes onto the disk."""
    last, since = (0, 0), time.monotonic()

    def is_still() -> bool:
        nonlocal last, since
        status = writer.status
        now = status.total_bytes, status.counters.records_written
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > STILL_S

    wait_until(is_still, 'everything is on the disk')


def main(root: Path, story: str, end: str) -> None:
    """Record the flight."""
    with FileFdrWriter(root, FdrWriterConfig(**_OPTIONS)) as writer:
        STORIES[story](writer)
        if end == 'closed':
            writer.close_flight(FLIGHT_ID)
            return
        _settle(writer)
        print(flush=True)
        if end == 'killed':
            os.kill(os.getpid(), signal.SIGKILL)
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == '__main__':
    main(Path(sys.argv[1]), *sys.argv[2:])
