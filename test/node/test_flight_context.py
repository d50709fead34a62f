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
import math
from pathlib import Path
from typing import Any, ClassVar

from diagnostic_msgs.srv import AddDiagnostics
from fdr_recorder.cli.main import main
from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.notes import Note
from fdr_recorder.record.kinds import FlightHeader, NodeParameters
from fdr_recorder.report.gather import gather
from fdr_recorder.report.page import render
from ground import Ground
import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterEvent, ParameterValue
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
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


class Controller:
    """A node of the vehicle with parameters of every type."""

    VALUES: ClassVar[dict[str, Any]] = {
        'gain': 0.5,
        'is_armed': True,
        'steps': 3,
        'name': 'Grüße',
        'gains': [1.0, math.inf],
        'bytes': [b'\x01', b'\xff'],
        'flags': [True, False],
        'counts': [1, 2],
        'words': ['a', 'b'],
    }

    def __init__(self, ground: Ground, name: str) -> None:
        self.node = Node(name, context=ground.node.context, namespace='/drone')
        for key, value in self.VALUES.items():
            self.node.declare_parameter(key, value)
        ground.add(self.node)

    def set(self, name: str, value: object) -> None:
        self.node.set_parameters([Parameter(name, value=value)])


def confused(ground: Ground) -> None:
    """Add a node that answers to less than it is asked for."""
    node = Node(
        'confused', context=ground.node.context, namespace='/drone', start_parameter_services=False
    )

    def names(_request: object, response: ListParameters.Response) -> ListParameters.Response:
        response.result.names = ['a', 'b']
        return response

    def values(_request: object, response: GetParameters.Response) -> GetParameters.Response:
        response.values = [ParameterValue(type=2, integer_value=1)]
        return response

    node.create_service(ListParameters, 'confused/list_parameters', names)
    node.create_service(GetParameters, 'confused/get_parameters', values)
    ground.add(node)


def test_parameters_of_all_nodes_and_their_changes(
    ground: Ground, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {'record_parameters': True, 'exclude_regex': 'nothing'}
    first = Controller(ground, 'controller')
    confused(ground)
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')

        def answered(*nodes: str) -> bool:
            told = [item.payload() for item in recorder.stored_messages('/fdr/node_parameters')]
            return {*nodes} <= {item.node for item in told if isinstance(item, NodeParameters)}

        ground.wait_until(lambda: answered('/drone/controller', '/fdr_recorder'), 'answers')
        first.set('gain', 0.75)
        Controller(ground, 'late')
        ground.wait_until(lambda: answered('/drone/late'), 'the answer of who came late')
        first.set('gain', math.nan)
        (path,) = recorder.flights()
        deleted = ParameterEvent(
            node='/drone/late', deleted_parameters=[ParameterMessage(name='steps')]
        )
        ground.publisher(ParameterEvent, '/parameter_events').publish(deleted)

        def last() -> list[str]:
            known = {(item.node, item.name): item.last for item in read_info(path).parameters}
            return [known['/drone/controller', 'gain'], known['/drone/late', 'steps']]

        ground.wait_until(lambda: last() == ['NaN', 'null'], 'the changes are on disk')
        ground.wait_until(
            lambda: answered('/ground', '/drone/confused'), 'these do not answer as they should'
        )
        recorder.make('deactivate')
    read_flight(path)
    found = {(item.node, item.name): item for item in read_info(path).parameters}
    for name, value in Controller.VALUES.items():
        text = found['/drone/late', name].values[0][1]
        plain = [item[0] for item in value] if name == 'bytes' else value
        assert json.loads(text) == plain, name
    gain = found['/drone/controller', 'gain']
    assert [text for _, text in gain.values] == ['0.5', '0.75', 'NaN']
    assert json.loads(found['/fdr_recorder', 'record_parameters'].last) is True

    text = shown(capsys, 'info', path, '--parameters', 'drone/controller')
    assert '/fdr_recorder' not in text
    assert 'Grüße' in text
    assert ': 0.5; ' in text
    text = shown(capsys, 'info', path, '--parameters')
    assert '/fdr_recorder' in text
    assert '/drone/confused: its parameter services do not answer' in text
    assert '/ground: its parameter services do not answer, or there are none' in text
    assert main(['info', str(path), '--parameters', '/nobody']) == 3
    capsys.readouterr()
    (item,) = (
        item
        for item in told(capsys, 'info', path)['parameters']
        if (item['node'], item['name']) == ('/drone/controller', 'gain')
    )
    assert [change['value'] for change in item['changes']] == [0.5, 0.75, 'NaN']
    page = render(gather(path))
    for piece in ('id="parameters"', 'Parameters changed', '/drone/controller'):
        assert piece in page


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--metadata', 'pilot'], "'pilot': must be key=value"),
        (['--metadata', 'a=1', '--metadata', 'a=2'], 'a: is given twice'),
        (['--metadata', 'a=' + 'x' * 65_536], 'at most 65,536 characters in all'),
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
