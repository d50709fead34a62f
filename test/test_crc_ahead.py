"""CRCs of large messages, computed in another thread."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from conftest import MakeWriter
from flights import check_flight
from hypothesis import given
from hypothesis import strategies as st
from producers import make_client, open_flight, send

from fdr_recorder.storage.crc_ahead import LARGE_BYTES, CrcAhead, combine


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
