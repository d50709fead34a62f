# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""CRCs of large messages, computed in another thread."""

from __future__ import annotations

import os
from pathlib import Path
import zlib

from conftest import MakeWriter
from fdr_recorder.storage.crc_ahead import combine, CrcAhead, LARGE_BYTES
from flight_check import check_flight
from hypothesis import given
from hypothesis import strategies as st
from producers import make_client, open_flight, send


@given(st.binary(max_size=100), st.binary(max_size=5000))
def test_the_crc_of_two_pieces_follows_from_that_of_each(first: bytes, second: bytes) -> None:
    crc = combine(zlib.crc32(first), zlib.crc32(second), len(second))
    assert crc == zlib.crc32(first + second)


def make_batch(*messages: bytes) -> list[tuple[int, int, int, bytes, int]]:
    """Return records as a ring hands them out."""
    sizes = [sum(map(len, messages[: number + 1])) for number in range(len(messages))]
    return [(0, 0, 0, data, size) for data, size in zip(messages, sizes, strict=True)]


def test_it_is_the_crc_whatever_was_announced() -> None:
    large = [os.urandom(LARGE_BYTES + number) for number in range(6)]
    small = b'small'
    ahead = CrcAhead()
    try:
        ahead.announce(make_batch(large[0], small, *large[1:4]))
        for pieces in ([small, large[0], small], [large[1], large[2]], [small], [large[5]]):
            assert ahead.crc32(pieces) == zlib.crc32(b''.join(pieces))
        ahead.announce(make_batch(large[4], large[5]))  # and large[3] was never asked for
        for pieces in ([large[3]], [large[4], small], [large[5]], [large[4]]):
            assert ahead.crc32(pieces) == zlib.crc32(b''.join(pieces))
    finally:
        ahead.stop()


def test_a_flight_of_large_messages_is_sound(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(segment_size_bytes=4 << 20), make_client()
    open_flight(writer, 'x', client)
    for number in range(12):
        send(client, range(number * 2, number * 2 + 2), LARGE_BYTES * (1 + number % 3))
    flight = check_flight(writer.close_flight('x'))  # its readers check every CRC
    assert len(flight.of_topic('/blob')) == 24
