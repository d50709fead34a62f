# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Transient-local topics: all that their publishers hold is in every flight."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fdr_recorder.flights.verify import verify
from flight_check import FlightFiles, Message
from ground import Ground, LATCHED, RELIABLE
from publisher_process import PublisherProcess
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from recorder_process import read_flight, RecorderProcess
from std_msgs.msg import String

HOLDS_FIVE = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TOPIC = '/static'


def text_of(message: Message) -> str:
    """Return the text of a `std_msgs/String`, which may be padded."""
    return message.data[8:].split(b'\0')[0].decode()


def texts(name: str, *numbers: int) -> list[str]:
    return [f'{name} {number}' for number in numbers]


def publish(publisher, name: str, *numbers: int) -> None:
    for text in texts(name, *numbers):
        publisher.publish(String(data=text))


def meet(ground: Ground, *publishers) -> None:
    """Wait until the recorder has got what the publishers hold."""
    for publisher in publishers:
        ground.wait_until(publisher.get_subscription_count, 'the recorder')
        assert publisher.wait_for_all_acked(Duration(seconds=30))


def wait_until_stored(recorder: RecorderProcess, *wanted: str) -> None:
    recorder.ground.wait_until(
        lambda: set(wanted) <= set(map(text_of, recorder.stored_messages(TOPIC))),
        f'{str(wanted)[:80]} on disk',
    )


def recorded(flight: FlightFiles, name: str) -> list[str]:
    """Return what one publisher has sent, in order; without what the segment repeats."""
    header, *_ = flight.messages
    messages = [item for item in flight.of_topic(TOPIC) if item.log_time != header.log_time]
    return [text for text in map(text_of, messages) if text.startswith(name)]


def check(path: Path, *, may_lose: bool = False) -> FlightFiles:
    """Read a flight from which nothing must be missing without a trace."""
    report = verify(path)
    assert not report.damage
    assert may_lose or not report.losses
    return read_flight(path)


def test_all_that_is_held_is_in_every_flight(ground: Ground, tmp_path: Path, root: Path) -> None:
    a, b = (ground.publisher(String, TOPIC, HOLDS_FIVE, recorders=0) for _ in 'ab')
    publish(a, 'a', *range(8))
    publish(b, 'b', 0)
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure')
        meet(ground, a, b)
        recorder.make('activate')
        wait_until_stored(recorder, *texts('a', 3, 4, 5, 6, 7), 'b 0')
        publish(a, 'a', 8)
        wait_until_stored(recorder, 'a 8')
        recorder.make('deactivate')
        publish(b, 'b', 1, 2)
        meet(ground, a, b)
        recorder.make('activate')
        wait_until_stored(recorder, *texts('a', 4, 5, 6, 7, 8), *texts('b', 0, 1, 2))
        recorder.make('deactivate', 'cleanup', 'configure', 'activate')
        wait_until_stored(recorder, *texts('a', 4, 5, 6, 7, 8), *texts('b', 0, 1, 2))
        publish(b, 'b', 3)
        wait_until_stored(recorder, 'b 3')
        recorder.make('deactivate')
    first, second, third = map(check, recorder.flights())
    assert recorded(first, 'a') == texts('a', 3, 4, 5, 6, 7, 8)
    assert recorded(second, 'a') == recorded(third, 'a') == texts('a', 4, 5, 6, 7, 8)
    assert recorded(second, 'b') == texts('b', 0, 1, 2)
    assert recorded(third, 'b') == texts('b', 0, 1, 2, 3)


def test_a_flight_of_a_moment_has_it_too(ground: Ground, tmp_path: Path, root: Path) -> None:
    publisher = ground.publisher(String, TOPIC, HOLDS_FIVE, recorders=0)
    publish(publisher, 'a', *range(5))
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure')
        meet(ground, publisher)
        for _ in range(3):
            recorder.make('activate', 'deactivate')
    for path in recorder.flights():
        (repeat, *_) = check(path).of_topic(TOPIC)
        assert text_of(repeat) == 'a 4'


def test_one_message_is_there_once(ground: Ground, tmp_path: Path, root: Path) -> None:
    publisher = ground.publisher(String, TOPIC, LATCHED, recorders=0)
    live = ground.publisher(String, '/live', RELIABLE, recorders=0)
    publish(publisher, 'a', 0, 1)
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC, '/live']) as recorder:
        recorder.make('configure')
        meet(ground, publisher, live)
        recorder.make('activate')
        publish(live, 'live', 0)
        publish(publisher, 'a', 2)
        wait_until_stored(recorder, 'a 2')
        recorder.make('deactivate')
    assert list(map(text_of, check(recorder.flights()[0]).of_topic(TOPIC))) == texts('a', 1, 2)


def test_a_large_one_that_a_segment_cannot_begin_with(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    publisher = ground.publisher(String, TOPIC, LATCHED, recorders=0)
    large = 'x' * 120_000
    publisher.publish(String(data=large))
    options = {'topics': [TOPIC], 'writer.segment_size_bytes': 200_000}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        meet(ground, publisher)
        for _ in range(2):
            recorder.make('activate')
            wait_until_stored(recorder, large)
            recorder.make('deactivate')
    for path in recorder.flights():
        assert list(map(text_of, check(path).of_topic(TOPIC))) == [large]


def test_a_large_one_whose_publisher_was_killed(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    qos = {'depth': 1, 'durability': 'transient_local', 'size': 120_000}
    large = '7 ' + 'x' * 120_000
    options = {'topics': [TOPIC], 'writer.segment_size_bytes': 200_000}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        with PublisherProcess(ground, tmp_path, TOPIC, **qos) as publisher:
            publisher.hear()
            publisher.ask('publish', 7, 1)
            wait_until_stored(recorder, large)
            recorder.make('deactivate')
        recorder.make('activate')  # nobody can be asked, and nobody knows
        wait_until_stored(recorder, large)
        recorder.make('deactivate')
    for path in recorder.flights():
        assert list(map(text_of, check(path).of_topic(TOPIC))) == [large]


def test_while_it_is_published_fast(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {'depth': 100, 'durability': 'transient_local'}
    with (
        RecorderProcess(ground, tmp_path, root, topics=[TOPIC], intake_depth=100_000) as recorder,
        PublisherProcess(ground, tmp_path, TOPIC, **options) as publisher,
        ThreadPoolExecutor() as pool,
    ):
        recorder.make('configure')
        publisher.hear()
        sent = pool.submit(publisher.ask, 'publish', 0, 50_000)
        while not sent.done():
            recorder.make('activate')
            ground.wait_until(
                lambda: sent.done() or recorder.stored(TOPIC) > 1000, 'messages on disk'
            )
            recorder.make('deactivate')
        assert publisher.ask('acknowledged') == {'acknowledged': True}
        recorder.make('activate')
        wait_until_stored(recorder, '49900 ', '49999 ')
        recorder.make('deactivate')
    *early, last = recorder.flights()
    for path in early:
        flight = check(path, may_lose=True)  # who overtakes its own history loses of it
        numbers = [int(text) for text in recorded(flight, '')]
        assert numbers == sorted(set(numbers))
    assert [int(text) for text in recorded(check(last), '')] == list(range(49_900, 50_000))


def test_a_latched_publisher_that_was_killed(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {'depth': 5, 'durability': 'transient_local'}
    alive = ground.publisher(String, TOPIC, HOLDS_FIVE, recorders=0)
    publish(alive, 'alive', 0, 1)
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure', 'activate')
        with PublisherProcess(ground, tmp_path, TOPIC, **options) as publisher:
            publisher.hear()
            publisher.ask('publish', 0, 5)
            wait_until_stored(recorder, '4 ', 'alive 1')
            recorder.make('deactivate')
        recorder.make('activate')  # nobody has told the middleware of its end
        publish(alive, 'alive', 2)
        wait_until_stored(recorder, 'alive 0', 'alive 1', 'alive 2')
        with PublisherProcess(ground, tmp_path, TOPIC, **options) as publisher:
            publisher.hear()
            publisher.ask('publish', 5, 5)
            wait_until_stored(recorder, '9 ')
            recorder.make('deactivate', 'activate')
            wait_until_stored(recorder, '5 ', '9 ', 'alive 0')
            recorder.make('deactivate')
    first, second, third = map(check, recorder.flights())
    assert recorded(first, '') == recorded(first, 'alive') + [f'{n} ' for n in range(5)]
    assert recorded(second, 'alive') == recorded(third, 'alive') == texts('alive', 0, 1, 2)
    assert [text for text in recorded(third, '') if 'alive' not in text] == [
        f'{number} ' for number in range(5, 10)
    ]


def test_best_effort_publishers_resend_nothing(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    qos = QoSProfile(
        depth=5,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        reliability=ReliabilityPolicy.BEST_EFFORT,
    )
    publisher = ground.publisher(String, TOPIC, qos, recorders=0)
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure')
        ground.wait_until(publisher.get_subscription_count, 'the recorder')
        recorder.make('activate')

        def is_stored() -> bool:
            publish(publisher, 'a', 0)
            return recorder.stored(TOPIC) > 0

        ground.wait_until(is_stored, 'a message on disk')
        recorder.make('deactivate', 'activate')
        publish(publisher, 'b', 0)
        wait_until_stored(recorder, 'b 0')
        recorder.make('deactivate')
    _, second = map(read_flight, recorder.flights())
    assert [text_of(message) for message in second.of_topic(TOPIC)] == ['b 0']


def test_beside_a_pre_roll(ground: Ground, tmp_path: Path, root: Path) -> None:
    latched = ground.publisher(String, TOPIC, HOLDS_FIVE, recorders=0)
    live = ground.publisher(String, '/live', RELIABLE, recorders=0)
    publish(latched, 'a', *range(4))
    options = {'topics': [TOPIC, '/live'], 'preroll_s': 20.0}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        meet(ground, latched, live)
        for number in range(2):
            publish(latched, 'a', 4 + number)
            publish(live, 'live', number)
            meet(ground, latched, live)
            recorder.make('activate')
            wait_until_stored(recorder, *texts('a', *range(number, 5 + number)))
            recorder.make('deactivate')
    for number, path in enumerate(recorder.flights()):
        flight = check(path)
        assert recorded(flight, 'a') == texts('a', *range(number, 5 + number))
        assert list(map(text_of, flight.of_topic('/live'))) == [f'live {number}']
