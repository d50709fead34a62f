# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Values that cannot be encoded cost their record, or their producer; all others record."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import suppress
import errno
from typing import Any

from conftest import MakeWriter
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import (
    AlertBoard,
    Channel,
    FdrClient,
    FileFdrWriter,
    RingConfig,
    Schema,
    verify,
)
from fdr_recorder.capture.client import MAX_LOSS
from fdr_recorder.record.kinds import AlertRecord, Overrun
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.storage import invalid_records
from fdr_recorder.storage.invalid_records import QUARANTINE_AFTER
from flight_check import check_flight, FlightFiles
from producers import BLOB, make_client, numbered, open_flight, send, sent_numbers
import pytest
from waiting import wait_until

NOW = 1_800_000_000_000_000_000

INVALID_RECORDS: dict[str, tuple[Any, Any, Any, Any]] = {
    'float log time': (float(NOW), NOW, 1, b'x'),
    'float publish time': (NOW, float(NOW), 1, b'x'),
    'not a number': (float('nan'), NOW, 1, b'x'),
    'no log time': (None, NOW, 1, b'x'),
    'text as time': ('now', NOW, 1, b'x'),
    'absurd steady log time': (-(2**70), NOW, 1, b'x'),
    'absurd steady publish time': (NOW, -(2**70), 1, b'x'),
    'huge log time': (2**64, NOW, 1, b'x'),
    'huge publish time': (NOW, 2**200, 1, b'x'),
    'float sequence': (NOW, NOW, 1.0, b'x'),
    'no sequence': (NOW, NOW, None, b'x'),
    'text as data': (NOW, NOW, 1, 'text'),
    'large text as data': (NOW, NOW, 1, 'text' * 100_000),
    'list as data': (NOW, NOW, 1, [1, 2, 3]),
}
"""Arguments of `FdrClient.offer`, which trusts its caller."""


def channel(**values: Any) -> Channel:
    return Channel(**{'topic': '/bad', 'schema': BLOB, **values})


INVALID_CHANNELS = {
    'topic not UTF-8': channel(topic='/b\udc80'),
    'topic not text': channel(topic=7),
    'metadata not UTF-8': channel(metadata={'key': '\ud800'}),
    'metadata not text': channel(metadata={'offered_qos_profiles': None}),
    'metadata missing': channel(metadata=None),
    'publisher not UTF-8': channel(publisher='\udfff'),
    'no encoding': channel(message_encoding=None),
    'schema name not UTF-8': channel(schema=Schema('a/msg/\udc80', 'uint8 x\n')),
    'definition not UTF-8': channel(schema=Schema('a/msg/B', '# \udcff\nuint8 x\n')),
    'no definition': channel(schema=Schema('a/msg/B', None)),  # type: ignore[arg-type]
    'schema that cannot be hashed': channel(
        schema=Schema('a/msg/B', '', [])  # type: ignore[arg-type]
    ),
    'no schema': channel(schema=None),
}


class Scene:
    """A flight with a good client and another."""

    def __init__(self, make_writer: MakeWriter, bad: FdrClient, **options: object) -> None:
        self.alerts = AlertBoard()
        self.writer: FileFdrWriter = make_writer(alerts=self.alerts, **options)
        self.good, self.bad = make_client('/good'), bad
        open_flight(self.writer, 'x', self.good, bad)
        self.sent = 0

    def send_good(self) -> None:
        """Send ten good records, and wait until they are taken."""
        self.sent += send(self.good, range(self.sent, self.sent + 10))
        wait_until(
            lambda: not len(self.good.ring) and not len(self.bad.ring), 'both rings empty'
        )

    def wait_for_alert(self) -> None:
        """Wait until an alert tells of the invalid records."""
        wait_until(
            lambda: [alert.code for alert in self.alerts.present()] == ['record_invalid'],
            'the alert',
        )

    def close(self) -> tuple[FlightFiles, ProducerCounters]:
        """Close the flight, check it and all good records; return the other one's counters."""
        self.send_good()
        flight = check_flight(self.writer.close_flight('x'))
        assert not self.alerts.present()
        assert sent_numbers(flight, '/good') == list(range(self.sent))
        result = verify(flight.path)
        assert not result.damage
        assert {loss.cause for loss in result.losses} == {'invalid'}
        assert flight.footer is not None
        (counters,) = (item for item in flight.footer.producers if item.dropped_write_error)
        told = [alert for alert in flight.payloads(AlertRecord) if alert.code == 'record_invalid']
        assert [alert.raised for alert in told] == [True, False]
        assert {alert.subject for alert in told} == {counters.topic}
        assert told[0].values['topic'] == counters.topic
        return flight, counters


@pytest.mark.parametrize('latched', [False, True])
@pytest.mark.parametrize('record', INVALID_RECORDS.values(), ids=INVALID_RECORDS)
def test_an_invalid_record_costs_itself_alone(
    make_writer: MakeWriter, record: tuple[int, int, int, bytes], *, latched: bool
) -> None:
    scene = Scene(make_writer, make_client('/bad', latched=latched))
    send(scene.bad, range(3))
    scene.bad.offer(*record)
    send(scene.bad, range(4, 7))
    scene.send_good()
    scene.wait_for_alert()
    scene.writer.split()
    send(scene.bad, range(7, 10))
    flight, counters = scene.close()
    assert counters.dropped_write_error == 1
    assert {*sent_numbers(flight, '/bad')} == {*range(10)} - {3}


class Foreign(int):
    """An integer whose operators raise."""

    error: BaseException

    def raise_error(self, *_: object) -> Any:
        raise self.error

    __lt__ = __gt__ = __and__ = __abs__ = __repr__ = raise_error


class NoInteger:
    """What only looks like an integer."""

    error: BaseException

    def __init__(self, _: object) -> None:
        self.real = 3

    def raise_error(self, *_: object) -> Any:
        raise self.error

    __index__ = __lt__ = __gt__ = __and__ = __abs__ = __repr__ = raise_error


class Tired(bytes):
    """Data whose length can be asked for once."""

    error: BaseException
    asked = 0

    def __len__(self) -> int:
        self.asked += 1
        if self.asked > 1:
            raise self.error
        return super().__len__()


class Long(bytes):
    """Data that say they are longer than they are."""

    def __len__(self) -> int:
        return 100_000


ERRORS = [RuntimeError('foreign'), SystemExit('foreign'), RecursionError(), MemoryError()]


def foreign(kind: type[Any], error: BaseException, value: object = 3) -> Any:
    made = kind(value)
    made.error = error
    return made


@pytest.mark.parametrize('debug', [False, True])
@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_values_whose_methods_raise_cost_their_records_at_most(
    make_writer: MakeWriter, error: BaseException, *, debug: bool
) -> None:
    scene = Scene(make_writer, make_client('/bad'), debug_log_per_record=debug)
    send(scene.bad, range(3))
    for kind in (Foreign, NoInteger):
        value = foreign(kind, error)
        scene.bad.offer(value, NOW, 3, numbered(3))
        scene.bad.offer(NOW, NOW, value, numbered(3))
        scene.send_good()
    scene.bad.offer(NOW, NOW, 3, foreign(Tired, error, numbered(3)))
    scene.wait_for_alert()
    send(scene.bad, range(4, 7))
    flight, counters = scene.close()
    assert counters.dropped_write_error == 2
    numbers = sent_numbers(flight, '/bad')
    assert sorted(numbers) == [0, 1, 2, 3, 3, 3, 4, 5, 6]
    assert counters.offered == len(numbers) + 2


UNUSUAL_DATA = {
    'integers': memoryview(array('I', range(8))),
    'many integers': memoryview(array('I', range(20_000))),
    'a table': memoryview(bytes(range(16))).cast('B', (4, 4)),
    'every other byte': memoryview(bytes(range(64)))[::2],
    'every other byte of many': memoryview(bytes(200_000))[::2],
    'too long a length': Long(b'abc'),
    'bytes that can be changed': bytearray(b'abc'),
    'many bytes that can be changed': bytearray(100_000),
}


@pytest.mark.parametrize('latched', [False, True])
@pytest.mark.parametrize('data', UNUSUAL_DATA.values(), ids=UNUSUAL_DATA)
def test_whatever_is_like_bytes_is_recorded_as_its_bytes(
    make_writer: MakeWriter, data: Any, *, latched: bool
) -> None:
    writer, good, other = make_writer(), make_client('/good'), make_client(
        '/other', latched=latched, schema=Schema('x/msg/X', '')
    )
    open_flight(writer, 'x', good, other)
    sent = send(good, range(5))
    other.offer(NOW, NOW, 1, data)
    sent += send(good, range(5, 10))
    wait_until(lambda: not len(good.ring) and not len(other.ring), 'both rings empty')
    writer.split()
    flight = check_flight(writer.close_flight('x'))
    assert sent_numbers(flight, '/good') == [*range(sent)]
    assert {message.data for message in flight.of_topic('/other')} == {bytes(memoryview(data))}
    assert not verify(flight.path).damage


def test_values_that_cannot_be_encoded_are_counted_while_the_disk_refuses(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    bad = make_client('/bad', ring=RingConfig(max_records=4))
    scene = Scene(make_writer, bad)
    with writev.failing(errno.EIO):
        scene.good.enqueue(numbered(0))
        scene.sent = 1
        wait_until(lambda: scene.writer.status.is_degraded, 'the degraded state')
        for data in (7, range(3), [1], 'text', Long(b'abc')):
            with suppress(TypeError):
                scene.bad.offer(None, NOW, 1, data)  # type: ignore[arg-type]
        wait_until(lambda: len(scene.bad.ring) <= 2, 'a ring that is relieved')
    wait_until(lambda: not scene.writer.status.is_degraded, 'the end of the spell')
    summary = scene.writer.close_flight('x')
    flight = check_flight(summary)
    assert sent_numbers(flight, '/good') == [0]
    (account,) = (item for item in summary.footer.producers if item.topic == '/bad')
    assert account.offered == account.dropped_write_error == 4


@pytest.mark.parametrize('latched', [False, True])
@pytest.mark.parametrize('invalid', INVALID_CHANNELS.values(), ids=INVALID_CHANNELS)
def test_an_invalid_channel_costs_its_producer_alone(
    make_writer: MakeWriter, invalid: Channel, *, latched: bool
) -> None:
    values = {**vars(invalid), 'latched': latched}
    scene = Scene(make_writer, FdrClient(Channel(**values)))
    send(scene.bad, range(5))
    scene.send_good()
    scene.wait_for_alert()
    scene.writer.split()
    send(scene.bad, range(5))
    _, counters = scene.close()
    assert (counters.offered, counters.written, counters.dropped_write_error) == (10, 0, 10)


def test_an_invalid_latest_message_does_not_stop_a_flight_from_beginning(
    make_writer: MakeWriter,
) -> None:
    bad = make_client('/bad', latched=True)
    bad.offer(None, 0, 0, 'text')  # type: ignore[arg-type]
    scene = Scene(make_writer, bad)
    bad.offer(None, 0, 0, 'text')  # type: ignore[arg-type]
    scene.send_good()
    scene.wait_for_alert()
    scene.close()


def test_data_without_a_length_are_not_counted(make_writer: MakeWriter) -> None:
    scene = Scene(make_writer, make_client('/bad'))
    with pytest.raises(TypeError):
        scene.bad.offer(NOW, NOW, 0, None)  # type: ignore[arg-type]
    assert scene.bad.ring.offered == 0
    assert scene.bad.ring.is_settled()


@pytest.mark.parametrize(
    'values',
    [
        {'log_time_ns': 1.5e18},
        {'log_time_ns': '0'},
        {'publish_time_ns': float('inf')},
        {'sequence': 1.0},
        {'sequence': b''},
        {'data': 'text'},
        {'data': 3},
        {'data': None},
    ],
    ids=str,
)
def test_enqueue_refuses_values_of_a_wrong_type(
    make_writer: MakeWriter, values: dict[str, Any]
) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    with pytest.raises(TypeError):
        client.enqueue(**{'data': b'', **values})
    assert client.ring.offered == 0
    send(client, range(3))
    flight = check_flight(writer.close_flight('x'))
    assert sent_numbers(flight) == [0, 1, 2]


@pytest.mark.parametrize('number', [-1, 2**64, -(2**70), 2**200])
def test_enqueue_takes_integers_of_any_size(make_writer: MakeWriter, number: int) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    assert client.enqueue(numbered(0), number, number, number)
    (message,) = check_flight(writer.close_flight('x')).of_topic('/blob')
    assert message.sequence == number % 2**32


def test_a_producer_that_goes_on_is_left_out_and_tried_again(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalid_records, 'FIRST_PAUSE_S', 0.5)
    scene = Scene(make_writer, make_client('/bad'))
    for _ in range(QUARANTINE_AFTER):
        scene.bad.offer(None, 0, 0, b'')  # type: ignore[arg-type]
    scene.send_good()
    scene.wait_for_alert()
    number = 0

    def is_recorded() -> bool:
        nonlocal number
        send(scene.bad, range(number, number + 1))
        number += 1
        recording = scene.writer._drain.recording
        assert recording is not None
        return recording.accounts[scene.bad].written > 0

    wait_until(is_recorded, 'a record of the producer')
    flight, counters = scene.close()
    found = sent_numbers(flight, '/bad')
    assert found == list(range(found[0], number))
    assert counters.dropped_write_error == QUARANTINE_AFTER + found[0] > QUARANTINE_AFTER


def test_a_producer_with_valid_records_in_between_is_not_left_out(
    make_writer: MakeWriter,
) -> None:
    scene = Scene(make_writer, make_client('/bad'))
    for number in range(5 * QUARANTINE_AFTER):
        scene.bad.offer(None, 0, 0, b'')  # type: ignore[arg-type]
        send(scene.bad, range(number, number + 1))
    flight, counters = scene.close()
    assert sent_numbers(flight, '/bad') == list(range(5 * QUARANTINE_AFTER))
    assert counters.dropped_write_error == 5 * QUARANTINE_AFTER


def test_qos_profiles_that_are_not_yaml_are_left_out_of_the_metadata(
    make_writer: MakeWriter,
) -> None:
    writer, clients = make_writer(), []
    for number, text in enumerate(('- {', 'a: b', '2001-01-01', '- 2001-01-01', '[' * 5000, '7')):
        metadata = {'offered_qos_profiles': text}
        clients.append(FdrClient(Channel(f'/b{number}', BLOB, metadata=metadata)))
    open_flight(writer, 'x', *clients)
    for client in clients:
        send(client, range(2))
    writer.split()
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.messages) == 2 + 2 * len(clients)
    assert not writer.alerts.present()


def test_absurd_jumps_of_sequence_numbers_do_not_keep_a_flight_from_its_footer(
    make_writer: MakeWriter,
) -> None:
    writer = make_writer()
    clients = [make_client('/bad', str(number)) for number in range(3)]
    open_flight(writer, 'x', *clients)
    for client in clients:
        client.enqueue(numbered(0), sequence=1)
        client.count_transport_loss(2, 2**64 - 2)
        client.enqueue(numbered(1), sequence=2**64 - 1)
    summary = writer.close_flight('x')
    check_flight(summary)
    assert summary.footer.records_lost_transport == 3 * MAX_LOSS


@pytest.mark.parametrize(
    'payload', [None, 'text', Overrun(topic='\udc80'), Overrun(records=-1), Overrun(bytes=1.5)]
)
def test_an_invalid_record_that_is_emitted_is_left_out(
    make_writer: MakeWriter, payload: Any
) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    writer.emit(payload)
    send(client, range(3))
    flight = check_flight(writer.close_flight('x'))
    assert sent_numbers(flight) == [0, 1, 2]
    assert not flight.payloads(Overrun)


@pytest.mark.parametrize(('first', 'last'), [(1, 2**64), (-1, 3), (3, 2)])
def test_a_range_that_is_none_is_refused(first: int, last: int) -> None:
    client = make_client()
    with pytest.raises(ValueError, match='no range'):
        client.count_transport_loss(first, last)
    with pytest.raises(TypeError):
        client.count_transport_loss(float(first), last)  # type: ignore[arg-type]
    assert client.losses.records == 0


@pytest.mark.parametrize('time', [None, 'now', float('nan')])
def test_an_invalid_time_in_the_preroll_costs_its_record(
    make_writer: Callable[..., FileFdrWriter], time: Any, root: Any
) -> None:
    with FileFdrWriter(root, preroll_s=5.0) as writer:
        client = make_client(ring=RingConfig(max_records=1000))
        writer.register(client)
        client.offer(time, 0, 0, b'')
        wait_until(lambda: writer.status.producers or True, 'a round')
        open_flight(writer, 'x')
        send(client, range(3))
        summary = writer.close_flight('x')
    flight = check_flight(summary)
    assert sent_numbers(flight) == [0, 1, 2]
