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
Poison: hostile values, types and names from graph and clients, and a middleware that fails.

A round records topics over DDS while faults come and go at random. What DDS can carry comes by
DDS, from a participant of its own: names that nobody can read, topics that nobody can subscribe
to. Where the middleware itself must fail, its calls raise on request. A client hands over records
that cannot be encoded. Topics without a fault must be complete. Those with one must be recorded
again once it is over: nothing twice, each missing message counted. Each alert must end.
"""

from __future__ import annotations

from pathlib import Path
import random
import threading
from typing import Any

from campaigns import Figures
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.flights.verify import verify
from fdr_recorder.record.channel import Channel
from flight_check import FlightFiles
from producers import BLOB

NAME = 'poison'
ABOUT = 'Hostile values, names, packages and calls: they cost their topic a pause, others nothing.'
DEFAULT_ROUNDS = 100
SHORT_ROUNDS = 1

CALLS = (
    'take', 'take', 'take', 'has_changed', 'subscribe', 'count_publishers',
    'get_publishers_info_by_topic', 'resolve_topic_name',
)  # fmt: skip
CALLS_FOR_ALL = ('wait', 'serving', 'gather', 'wake', 'get_topic_names_and_types', 'import')
NAMES = (b'rt/\xff', b'rt/1-b', b'rt//', b'rt/ ', b'rt/~', b'rt/{x}', b'rt/' + b'x' * 240)
GOOD, BAD = ('/good_0', '/good_1'), ('/bad_0', '/bad_1', '/late')


class MuteError(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise ValueError


def _new_error(rng: random.Random) -> BaseException:
    return rng.choice(
        (
            RuntimeError('failed to take raw message from subscription'),
            UnicodeDecodeError('utf-8', b'\xff', 0, 1, 'invalid start byte'),
            MemoryError(),
            KeyError('\udcff' * 3),
            OSError(5, 'x' * 10_000),
            MuteError(),
            SystemExit(1),
        )
    )


def _new_value(rng: random.Random) -> dict[str, Any]:
    """Return arguments for `FdrClient.offer` of which one is no good."""
    record: dict[str, Any] = {
        'log_time_ns': 1, 'publish_time_ns': 1, 'sequence': 1, 'data': b'x'
    }  # fmt: skip
    name, value = rng.choice(
        (
            ('log_time_ns', 1.5),
            ('log_time_ns', -1),
            ('publish_time_ns', 2**64),
            ('publish_time_ns', 'now'),
            ('sequence', 'one'),
            ('sequence', None),
            ('data', 'text'),
            ('data', None),
        )
    )
    record[name] = value
    return record


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Record one flight with several faults, one after the other and at once."""
    # importing these skips where there is no ROS 2, and says so
    from faulty_recorder import Faults, FaultyRecorder
    from ground import Ground, own_ground

    (directory / 'flights').mkdir()
    faults = Faults()
    with own_ground() as ground, Ground(ground.domain_id) as other:
        options = {'topics': (*GOOD, *BAD)} if rng.random() < 0.5 else {'all_topics': True}
        recorder = FaultyRecorder(ground, directory / 'flights', faults, **options)
        with recorder:
            round_ = _Round(rng, recorder, ground, other)
            for _ in range(rng.randint(2, 4)):
                round_.spell()
            flight = round_.end()
            running = {thread.name for thread in threading.enumerate()}
            assert running >= {'fdr_intake', 'fdr_watch', 'fdr_writer'}
    round_.check(flight)
    return {
        'faults': round_.injected,
        'calls_that_raised': len(faults.raised),
        'messages_sent': sum(round_.sent.values()),
        'messages_lost_and_counted': flight.footer.records_lost_transport,
        'poisoned_records': round_.accepted + round_.refused,
        'alerts': sum(alert.raised for alert in recorder.told),
    }


class _Round:
    """One flight: what is published, and what goes wrong."""

    def __init__(self, rng: random.Random, recorder: Any, ground: Any, other: Any) -> None:
        from std_msgs.msg import String

        self._rng, self._recorder, self._ground, self._other = rng, recorder, ground, other
        self._message = String
        self._hostile: list[Any] = []
        self.sent = dict.fromkeys((*GOOD, *BAD), 0)
        self.injected = self.accepted = self.refused = 0
        self._publishers = {
            topic: ground.publisher(String, topic) for topic in (*GOOD, *BAD[:2])
        }
        self._client = FdrClient(Channel('/client', BLOB))
        recorder.writer.register(self._client)

    def spell(self) -> None:
        """Have some faults for a while, and publish meanwhile."""
        from hostile_graph import HostilePublisher

        rng, faults = self._rng, self._recorder.faults
        for _ in range(rng.randint(1, 3)):
            call = rng.choice((*CALLS, *CALLS_FOR_ALL))
            topic = '' if call in CALLS_FOR_ALL else rng.choice(BAD)
            faults.errors[call, topic] = _new_error(rng)
            self.injected += 1
        if rng.random() < 0.5:
            name = rng.choice(NAMES)
            self._hostile.append(HostilePublisher(self._other, name, self._message))
            self.injected += 1
        if '/late' not in self._publishers and rng.random() < 0.5:
            late = self._ground.publisher(self._message, '/late', recorders=0)
            self._publishers['/late'] = late
        for _ in range(rng.randint(1, 12)):
            try:
                self.accepted += self._client.offer(*_new_value(rng).values())
            except TypeError:  # the caller is told
                self.refused += 1
        self._publish(rng.randint(1, 200))
        seen = len(faults.raised)
        for _ in range(rng.randint(0, 20)):
            self._ground.spin()
            if len(faults.raised) > seen + 5:
                break
        faults.errors.clear()

    def _publish(self, count: int) -> None:
        for number in range(count):
            for topic, publisher in self._publishers.items():
                publisher.publish(self._message(data=f'{number}'))
                self.sent[topic] += 1

    def end(self) -> FlightFiles:
        """End all faults, and close the flight once everything is recorded again."""
        for publisher in self._hostile:
            publisher.destroy()
        for topic, publisher in self._publishers.items():
            self._ground.wait_until(publisher.get_subscription_count, topic)
        self._publish(3)
        self._recorder.wait_until_over()
        for topic in self._publishers:
            self._ground.wait_until(lambda: self._is_stored(topic), topic)  # noqa: B023
        flight: FlightFiles = self._recorder.close()
        return flight

    def _is_stored(self, topic: str) -> bool:
        """Return whether the last message of a topic is on disk."""
        stored = self._recorder.stored(topic)
        return any(message.sequence == self.sent[topic] for message in stored)

    def check(self, flight: FlightFiles) -> None:
        """Compare what was sent with what is there."""
        for topic, sent in self.sent.items():
            numbers = [message.sequence for message in flight.of_topic(topic)]
            assert numbers == sorted(set(numbers)), f'{topic}: twice, or out of order'
            if topic in GOOD:
                assert numbers == list(range(1, sent + 1)), f'{topic} is not complete'
        lost = sum(
            numbers[-1] - numbers[0] + 1 - len(numbers)
            for topic in BAD
            if (numbers := [message.sequence for message in flight.of_topic(topic)])
        )
        assert lost == flight.footer.records_lost_transport
        written = len(flight.of_topic('/client'))
        assert written + flight.footer.records_dropped_write_error == self.accepted
        assert verify(flight.path).damage == []
        states: dict[tuple[str, str], bool] = {}
        for alert in self._recorder.told:
            assert states.get((alert.code, alert.subject), False) != alert.raised
            assert alert.message.isprintable()
            states[alert.code, alert.subject] = alert.raised
        assert not any(states.values())
