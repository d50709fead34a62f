# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The catalogue has of a flight what was recorded: topics, places, losses and alerts."""

from __future__ import annotations

from pathlib import Path

from conftest import MakeWriter
from fleet_side import Side, side
import pytest
from sensor_flight import NS_PER_S, record_sensors, SECONDS, SILENT_S
from stored_flights import store_flight

__all__ = ['side']
ENDED = Path(__file__).parents[1] / 'compatibility' / 'flights_0_1_0' / 'killed'


@pytest.mark.parametrize('close', [True, False])
def test_topics_and_places(
    side: Side, make_writer: MakeWriter, root: Path, *, close: bool
) -> None:
    store_flight(side.store, record_sensors(make_writer, root, close=close))
    (receipt,) = side.receive().received
    assert receipt.verdict == ('complete' if close else 'unclosed')
    silent_s = SILENT_S[1] - SILENT_S[0]
    ((rate, gap_s, gap_at, messages),) = side.ask(
        'SELECT rate_hz, gap_s, epoch_ns(gap_at) - epoch_ns(first), messages FROM topics '
        "WHERE topic = '/gps/fix' AND type = 'sensor_msgs/msg/NavSatFix'"
    )
    assert messages == (SECONDS - silent_s) * 5
    assert rate == pytest.approx(4.5, abs=0.1)
    assert gap_s == pytest.approx(silent_s + 0.2)
    assert gap_at == pytest.approx((SILENT_S[0] - 0.2) * NS_PER_S)
    points = side.ask('SELECT epoch_ns(time), lat, lon, alt FROM places ORDER BY time')
    assert 100 < len(points) <= 200
    for time_ns, lat, lon, alt in points:
        seconds = (time_ns - points[0][0]) / NS_PER_S  # the clock of the test is another one
        assert (lat, lon) == pytest.approx((47 + seconds * 1e-5, 8 + seconds * 2e-5), abs=1e-6)
        assert alt == pytest.approx(500 + seconds, abs=0.01)
    first, last = points[0], points[-1]
    assert last[0] - first[0] == pytest.approx((SECONDS - 0.2) * NS_PER_S)
    places = 'takeoff_lat', 'takeoff_lon', 'takeoff_alt', 'landing_lat', 'landing_lon'
    assert side.flights(*places) == [(*first[1:], *last[1:3])]


def test_losses_and_alerts(side: Side) -> None:
    store_flight(side.store, ENDED)
    side.receive()
    losses = side.ask('SELECT topic, cause, records, times FROM losses ORDER BY cause')
    assert losses == [('/temperature', 'transport', 5, 1), ('', 'unclean', 0, 1)]
    question = 'SELECT code, level, subject, cleared - raised FROM alerts ORDER BY code'
    alerts = side.ask(question)
    assert [row[:3] for row in alerts] == [
        ('topic_stale', 'warn', '/gps'), ('transport_loss', 'warn', ''),
    ]
    assert alerts[0][3] is not None, 'it was over after some seconds'
    assert alerts[1][3] is None, 'it was present at the end'
