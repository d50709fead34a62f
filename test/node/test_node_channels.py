# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the channels of a flight say of the publishers whose messages they hold."""

from __future__ import annotations

from pathlib import Path

from ground import own_ground
from mcap.reader import make_reader
from publisher_process import PublisherProcess
from recorder_process import RecorderProcess
import yaml


def node_names(flight: Path, topic: str) -> dict[str, str]:
    """Return the node of each publisher of a topic by gid, as the closed segments name it."""
    found: dict[str, str] = {}
    bag = yaml.safe_load((flight / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    for name in bag['relative_file_paths']:
        with (flight / name).open('rb') as file:
            summary = make_reader(file).get_summary()
        assert summary is not None
        for channel in summary.channels.values():
            if channel.topic == topic:
                found[channel.metadata['publisher_gid']] = channel.metadata.get(
                    'publisher_node', ''
                )
    return found


def test_publishers_are_known_by_name_however_late_they_come(tmp_path: Path, root: Path) -> None:
    options = {'topics': ['/chatter'], 'writer.segment_size_bytes': 64 * 1024}
    names = ['early', 'late', 'later']
    with own_ground() as ground, RecorderProcess(ground, tmp_path, root, **options) as recorder:
        publishers: list[PublisherProcess] = []
        expected: dict[str, str] = {}

        def join(name: str) -> None:
            publisher = PublisherProcess(ground, tmp_path, '/chatter', node=name, size=1000)
            publishers.append(publisher)
            expected[publisher.hear()['gid']] = f'/{name}'

        def are_named() -> bool:
            for publisher in publishers:
                publisher.ask('publish', 0, 20)
            return node_names(recorder.flights()[0], '/chatter') == expected

        try:
            recorder.make('configure', 'activate')
            for name in names:
                join(name)
                ground.wait_until(are_named, 'the name of every publisher in a segment')
        finally:
            for publisher in publishers:
                publisher.__exit__()
        recorder.make('deactivate')
        assert node_names(recorder.flights()[0], '/chatter') == expected
