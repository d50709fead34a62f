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
A flight of the recorder's process whose system clock is set while it records.

The process has `false_clock.c` preloaded. This process publishes the true CLOCK_MONOTONIC in each
message, and compares.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
import time

from false_clock import ProcessClock
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.utc import read_utc
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import AlertRecord, ClockStep, FlightHeader
from flight_check import FlightFiles, Message
from ground import Ground, LATCHED
from rclpy.duration import Duration
from recorder_process import read_flight, RecorderProcess
from std_msgs.msg import String
from std_srvs.srv import Trigger

S = 1_000_000_000
TOLERANCE_NS = S // 2
LATE_NS = 5 * S
"""A message may be so late on a busy machine; not all between two steps of the clock."""
BURST = 15
"""Messages on each topic between two steps."""
SLEW_NS = S // 200
"""By how much a clock that runs at another rate is set with each message."""
EARLY_NS = S // 1000
"""The time of a message may be read so long after it is on its way."""


class ClockFlight:
    """
    One flight, and what is true of it.

    Attributes:
        clock: The system clock of the recorder.
        steps: By how much it was set at once, in order (nanoseconds).

    """

    def __init__(self, ground: Ground, recorder: RecorderProcess, clock: ProcessClock) -> None:
        self.clock = clock
        self.steps: list[int] = []
        self._bursts: list[int] = []
        self._ground, self._recorder = ground, recorder
        self._sent: dict[str, list[int]] = {'/plain': [], '/latched': []}
        self._publishers = {
            '/plain': ground.publisher(String, '/plain'),
            '/latched': ground.publisher(String, '/latched', LATCHED),
        }

    def open(self) -> None:
        """Open the flight, once the recorder hears both topics."""
        for publisher in self._publishers.values():
            self._ground.wait_until(publisher.get_subscription_count, 'the subscription')
        self._started_ns, self._began_ns = time.time_ns(), time.monotonic_ns()
        self._recorder.make('activate')

    def publish(self, count: int = BURST, slew_ns: int = 0) -> None:
        """Publish so many messages on each topic, 30 ms apart; the clock may run on meanwhile."""
        self._bursts.append(count)
        for _ in range(count):
            for topic, publisher in self._publishers.items():
                now_ns = time.monotonic_ns()
                publisher.publish(String(data=str(now_ns)))
                self._sent[topic].append(now_ns)
            self.clock.error_ns += slew_ns
            time.sleep(0.03)
        for publisher in self._publishers.values():
            assert publisher.wait_for_all_acked(Duration(seconds=10))

    def set_clock(self, step_ns: int) -> None:
        """Set the clock; the next step must be later than the recorder looks."""
        self.clock.error_ns += step_ns
        self.steps.append(step_ns)

    def split(self) -> None:
        """Begin the next segment."""
        name = f'/{self._recorder.name}/split'
        assert self._ground.call(Trigger, name, Trigger.Request()).success

    def close(self) -> None:
        """Close the flight."""
        self._recorder.make('deactivate')
        self._lasted_s = (time.monotonic_ns() - self._began_ns) / S

    def check(self) -> FlightFiles:
        """Check order, distances, records, durations and UTC against what is true."""
        path = self._recorder.flights()[-1]
        flight = read_flight(path)  # every sum is exact
        verification = verify(path)
        assert verification.verdict in (Verdict.COMPLETE, Verdict.LOSSES), str(verification)
        told = Counter[str]()  # what the middleware loses on a busy machine
        for loss in verification.losses:
            assert loss.cause == 'transport', str(verification)
            told[loss.topic] += loss.records
        base_ns = flight.payloads(FlightHeader)[0].log_time_offset_ns
        utc, listed = read_utc(path), list_flight(path)
        for channel in {(item.topic, item.publisher) for item in flight.messages}:
            times = [m.log_time for m in flight.messages if (m.topic, m.publisher) == channel]
            assert all(a <= b for a, b in pairwise(times)), f'{channel}: back in time'
        for topic, sent in self._sent.items():
            found = _originals(flight, topic)
            times = [int(text_of(message)) for message in found]
            there = {*times}
            assert times == [true_ns for true_ns in sent if true_ns in there]
            assert len(sent) - len(times) == told[topic], f'{topic}: lost, and not told'
            delays: dict[int, int] = {}
            for message, true_ns in zip(found, times, strict=True):
                late_ns = message.log_time - base_ns - true_ns
                early_ns = EARLY_NS + self._slewed_ns
                assert -early_ns <= late_ns < LATE_NS, f'{topic}: {late_ns} ns late'
                true_utc_ns = self._started_ns + true_ns + late_ns - self._began_ns
                error_ns = utc.at(message.log_time) - self.clock.error_ns - true_utc_ns
                assert abs(error_ns) < TOLERANCE_NS + self._slewed_ns, f'UTC wrong by {error_ns}'
                delays[true_ns] = late_ns
            rest = iter(sent)
            bursts = [[*islice(rest, count)] for count in self._bursts]
            present = [[delays[at] for at in burst if at in there] for burst in bursts]
            least = [min(burst) for burst in present if burst]
            assert max(least) < TOLERANCE_NS, f'{topic}: {least} ns late'
        assert 0 < listed.duration_s <= self._lasted_s + 0.1
        started_ns = listed.utc_started_ns - self.clock.error_ns
        assert abs(started_ns - self._started_ns) < LATE_NS + self._slewed_ns
        found_steps = [item.after_ns - item.before_ns for item in flight.payloads(ClockStep)]
        assert len(found_steps) == len(self.steps), (found_steps, self.steps)
        for step_ns, true_ns in zip(found_steps, self.steps, strict=True):
            assert abs(step_ns - true_ns) < S // 20 + SLEW_NS * 40
        alerts = [item for item in flight.payloads(AlertRecord) if item.code == 'clock_step']
        assert [item.raised for item in alerts] == [True, False] * len(self.steps)
        return flight

    _slewed_ns = 0

    def slew(self, sign: int) -> None:
        """
        Let the clock run on at another rate for half a second, by steps too small to be one.

        A message that is received before some of them and taken after them seems older by them.
        """
        self.publish(slew_ns=sign * SLEW_NS)
        self._slewed_ns += BURST * SLEW_NS


def text_of(message: Message) -> str:
    """Return the text of a `std_msgs/String`."""
    size = int.from_bytes(message.data[4:8], 'little')
    return message.data[8:7 + size].decode()


def _originals(flight: FlightFiles, topic: str) -> list[Message]:
    """Return the messages of a topic without repeats."""
    seen: set[int] = set()
    found = []
    for message in flight.of_topic(topic):
        if message.sequence not in seen:
            seen.add(message.sequence)
            found.append(message)
    return found


def clock_recorder(
    ground: Ground, directory: Path, root: Path, clock: ProcessClock, **options: object
) -> RecorderProcess:
    """
    Return a recorder process that has the clock.

    It gets its messages by UDP: the shared memory of Fast DDS compares the system clocks of the
    processes that use it, and loses messages when only one of them is set.
    """
    return RecorderProcess(
        ground,
        directory,
        root,
        environment={**clock.environment, 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'},
        forked=False,
        topics=['/plain', '/latched'],
        **options,
    )
