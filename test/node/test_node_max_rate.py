# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`max_rate` with real publishers: exact rates, every message accounted for, killed flights."""

from __future__ import annotations

from pathlib import Path
import signal

from fdr_recorder import recover, Verdict, verify
from fdr_recorder.record.kinds import Throttled
from flight_check import FlightFiles
from ground import Ground
from publisher_process import PublisherProcess
import pytest
from recorder_process import RecorderProcess

IMU_HZ, MAX_HZ, SECONDS = 400, 40, 3
RATES = ['/sensors/**=40.0', '/map=2']


def check_account(flight: FlightFiles, topic: str, published: int) -> int:
    """Check that each message is accounted for; return how many were left out."""
    (account,) = [item for item in flight.footer.producers if item.topic == topic]
    lost = account.lost_transport + account.before_match
    assert published == account.written - account.repeated + account.throttled + lost
    told = [record for record in flight.payloads(Throttled) if record.topic == topic]
    assert sum(record.records for record in told) == account.throttled
    return account.throttled


@pytest.mark.smoke
def test_topics_with_a_rate(ground: Ground, tmp_path: Path, root: Path) -> None:
    topics = ['/sensors/imu', '/map', '/free']
    with (
        RecorderProcess(ground, tmp_path, root, topics=topics, max_rate=RATES) as recorder,
        PublisherProcess(ground, tmp_path, '/sensors/imu') as imu,
        PublisherProcess(ground, tmp_path, '/map', durability='transient_local') as maps,
        PublisherProcess(ground, tmp_path, '/free') as free,
    ):
        recorder.make('configure')
        for publisher in (imu, maps, free):
            publisher.hear()
        recorder.make('activate')
        imu.say('stream', 0, IMU_HZ * SECONDS, IMU_HZ, 0.5)
        maps.say('stream', 0, 60, 60, 0.3)
        free.ask('stream', 0, 200, 100, 0.3)
        for publisher in (imu, maps):
            publisher.hear()
        recorder.wait_for_summary(
            lambda values: int(values['records_throttled']) > 1000, 'the count in flight'
        )
        recorder.make('deactivate')
        flight = recorder.read_flight()
        assert check_account(flight, '/sensors/imu', IMU_HZ * SECONDS) > 0
        assert check_account(flight, '/map', 60) > 0
        assert check_account(flight, '/free', 200) == 0
        times = [message.publish_time for message in flight.of_topic('/sensors/imu')]
        rate_hz = (len(times) - 1) / (times[-1] - times[0]) * 1e9
        assert rate_hz == pytest.approx(MAX_HZ, rel=0.02)
        assert b'59' in flight.of_topic('/map')[-1].data  # the newest
        assert verify(flight.path).verdict is Verdict.COMPLETE

        recorder.make('activate')
        imu.ask('stream', 5000, 4 * IMU_HZ, IMU_HZ, 0.5)
        recorder.send(signal.SIGKILL)
        killed = recorder.flights()[-1]
    left_out = verify(killed).left_out['/sensors/imu']
    assert left_out > 0
    recover(root)
    result = verify(killed)
    assert not result.damage
    assert result.left_out['/sensors/imu'] == left_out
    assert {loss.cause for loss in result.losses} <= {'unclean'}
    assert result.footer is not None
    assert result.footer.records_lost_transport == 0


def test_wrong_rates_are_refused(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, max_rate=['/imu=fast']) as recorder:
        assert not recorder.change_state('configure')
        said = recorder.wait_for_alert('recorder', 'config_invalid').message
        assert 'max_rate: /imu=fast: after = must stand messages a second' in said
        assert recorder.set('max_rate', ['/imu']) == (
            'max_rate: /imu: a rate is missing; write /imu=10 for 10 messages a second'
        )
        assert recorder.state() == 'unconfigured'


def test_two_rates_of_one_topic_are_refused(ground: Ground, tmp_path: Path, root: Path) -> None:
    twice = 'max_rate: a=3 and /a=4: /a has two rates; which one is meant?'
    with RecorderProcess(ground, tmp_path, root, max_rate=['a=3', '/a=4']) as recorder:
        assert not recorder.change_state('configure')
        assert twice in recorder.wait_for_alert('recorder', 'config_invalid').message
        assert not recorder.set('max_rate', ['a=3', 'a/b=4'])
        assert recorder.set('max_rate', ['/a=4', 'a=3']) == (
            'max_rate: /a=4 and a=3: /a has two rates; which one is meant?'
        )
