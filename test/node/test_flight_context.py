# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is to be known of a flight: metadata, notes, and the parameters of the vehicle's nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diagnostic_msgs.srv import AddDiagnostics
from fdr_recorder.cli.main import main
from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.notes import Note
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.report.gather import gather
from fdr_recorder.report.page import render
from ground import Ground
import pytest
from recorder_process import read_flight, RecorderProcess
from std_msgs.msg import String

TOPIC = '/fdr_recorder/annotation'


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return what `fdr` prints."""
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    return json.loads(shown(capsys, *arguments, '--json'))


def annotate(recorder: RecorderProcess, text: str) -> AddDiagnostics.Response:
    request = AddDiagnostics.Request(load_namespace=text)
    return recorder.ground.call(AddDiagnostics, f'/{recorder.name}/annotate', request)


def test_metadata_and_notes_are_in_all_that_tells_of_a_flight(
    ground: Ground, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ['--', '--metadata', 'pilot=Ann', '--metadata=site="Große" field; 3']
    metadata = {'pilot': 'Ann', 'site': '"Große" field; 3'}
    with RecorderProcess(
        ground, tmp_path, root, metadata=['pilot=nobody'], arguments=given
    ) as recorder:
        assert 'no flight is open' in annotate(recorder, 'too early').message
        recorder.make('configure', 'activate')
        assert not annotate(recorder, ' ').success
        assert annotate(recorder, 'gust from the left').success
        topic = ground.publisher(String, TOPIC)
        topic.publish(String(data='grün'))
        ground.wait_until(lambda: recorder.stored(TOPIC) == 2, 'both are on disk')
        assert annotate(recorder, 'waypoint 3').success
        recorder.make('deactivate')
        assert not recorder.set('metadata', ['pilot=Cid'])
        assert 'must be key=value' in recorder.set('metadata', ['pilot'])
        recorder.make('activate', 'deactivate')
        first, second = recorder.flights()

    flight = read_flight(first)
    assert flight.payloads(FlightHeader)[0].metadata == metadata
    assert len(flight.of_topic(TOPIC)) == 3
    assert read_flight(second).payloads(FlightHeader)[0].metadata == {'pilot': 'Cid'}
    assert {key: flight.bag['custom_data'][key] for key in metadata} == metadata
    found = read_info(first)
    assert found.listed.metadata == metadata
    notes = [event.payload for event in found.events if isinstance(event.payload, Note)]
    assert {note.text for note in notes} == {'gust from the left', 'grün', 'waypoint 3'}
    assert {note.topic for note in notes} == {TOPIC}
    text = shown(capsys, 'info', first)
    for line in ('pilot     Ann', 'site      "Große" field; 3', 'gust from the left', 'grün'):
        assert line in text
    assert 'pilot=Ann, site=' in shown(capsys, 'ls', root)
    assert [item['metadata'] for item in told(capsys, 'ls', root)['flights']] == [
        metadata, {'pilot': 'Cid'}
    ]
    document = told(capsys, 'info', first)
    assert document['metadata'] == metadata
    assert [item['text'] for item in document['events'] if item['kind'] == 'note'] == [
        note.text for note in notes
    ]
    page = render(gather(first))
    for piece in ('Ann', 'Notes', 'gust from the left', 'waypoint 3'):
        assert piece in page


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--metadata', 'pilot'], "'pilot': must be key=value"),
        (['--metadata', 'a=1', '--metadata', 'a=2'], 'a: is given twice'),
    ],
)
def test_wrong_metadata_on_the_command_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from fdr_recorder.node.main import COMMAND_LINE

    with pytest.raises(SystemExit) as ended:
        COMMAND_LINE.check(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
