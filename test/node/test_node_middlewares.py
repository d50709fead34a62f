# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a middleware does not tell: every message is kept, and what cannot be known is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faulty_recorder import Faults, FaultyRecorder
from ground import Ground, PUBLISHERS_ARE_TOLD
from mcap.reader import make_reader
import pytest
from std_msgs.msg import String


def loss_detection(flight: Path, topic: str) -> set[str]:
    """Return what the channels of a topic say."""
    found = set()
    for path in flight.glob('*.mcap'):
        with path.open('rb') as file:
            summary = make_reader(file).get_summary()
        assert summary is not None
        for channel in summary.channels.values():
            if channel.topic == topic:
                found.add(channel.metadata.get('loss_detection', ''))
    return found


@pytest.mark.parametrize('number', [None, 2**64 - 1, 'as it is'])
def test_channels_say_whether_losses_can_be_seen(
    ground: Ground, root: Path, number: Any
) -> None:
    faults = Faults()
    if number != 'as it is':
        faults.change_info['/a'] = lambda info: {**info, 'publication_sequence_number': number}
    with FaultyRecorder(ground, root, faults, topics=('/a',)) as recorder:
        ground.publisher(String, '/a').publish(String(data='a'))
        ground.wait_until(lambda: recorder.stored('/a'), 'the message on disk')
        flight = recorder.close()
    is_known = number == 'as it is' and PUBLISHERS_ARE_TOLD
    assert loss_detection(flight.path, '/a') == {'sequence' if is_known else 'none'}
    assert loss_detection(flight.path, '/fdr/flight_header') == {''}
