# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The policy for SROS 2 allows what the recorder does, and no more."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

from ground import Ground
import pytest
from recorder_process import RecorderProcess

POLICY = Path(__file__).resolve().parents[2] / 'config' / 'sros2_policy.xml'
RULES = {
    'topics': ('topic', {'publish', 'subscribe'}),
    'services': ('service', {'request', 'reply'}),
    'actions': ('action', {'call', 'execute'}),
}
"""What a profile may have: the elements of each list, and its attributes."""


def contexts() -> list[Xml.Element]:
    policy = Xml.parse(POLICY).getroot()
    assert (policy.tag, policy.attrib) == ('policy', {'version': '0.2.0'})
    [found] = policy
    assert found.tag == 'contexts'
    return list(found)


def profiles(enclave: str) -> list[Xml.Element]:
    [context] = [item for item in contexts() if item.get('path') == enclave]
    return list(context.iter('profile'))


def allowed(enclave: str, what: str, how: str) -> list[str]:
    """Return the full names of topics or services with which an enclave may do that."""
    return [
        f'{profile.attrib["ns"]}{profile.attrib["node"]}{name[1:]}' if name[0] == '~' else name
        for profile in profiles(enclave)
        for rules in profile.iter(what) if rules.get(how) == 'ALLOW'
        for name in (item.text or '' for item in rules)
    ]


def test_the_policy_is_written_as_sros2_reads_it() -> None:
    """By the rules of sros2's schema for policies."""
    assert [item.get('path') for item in contexts()] == [
        '/fdr_recorder', '/fdr_ground', '/flight_trigger', '/gcs_bridge'
    ]
    for context in contexts():
        assert context.tag == 'context'
        assert context.attrib.keys() == {'path'}
        for group in context:
            assert (group.tag, group.attrib) == ('profiles', {})
            for profile in group:
                assert profile.tag == 'profile'
                assert profile.attrib.keys() == {'ns', 'node'}
                for rules in profile:
                    element, attributes = RULES[rules.tag]
                    assert rules.attrib
                    assert rules.attrib.keys() <= attributes
                    assert {*rules.attrib.values()} <= {'ALLOW', 'DENY'}
                    assert len(rules)
                    assert {item.tag for item in rules} == {element}
                    assert all(item.text and item.text[0] in '/~' for item in rules)


def test_it_allows_what_a_recorder_has(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        node = ground.node
        of_services = allowed('/fdr_recorder', 'services', 'reply')
        ground.wait_until(
            lambda: len(node.get_service_names_and_types_by_node(recorder.name, '/'))
            >= len(of_services),
            'all services of the recorder',
        )
        found = {name for name, _ in node.get_service_names_and_types_by_node(recorder.name, '/')}
        published = {
            name
            for name_of_node in node.get_node_names()
            if name_of_node.startswith(recorder.name)
            for name, _ in node.get_publisher_names_and_types_by_node(name_of_node, '/')
        }
        recorder.make('deactivate')
    assert found == {*of_services}
    assert published <= {*allowed('/fdr_recorder', 'topics', 'publish')}
    assert {'/diagnostics', '/rosout'} <= published


@pytest.mark.parametrize('enclave', ['/fdr_ground', '/flight_trigger', '/gcs_bridge'])
def test_others_may_call_only_what_there_is(enclave: str) -> None:
    requests = allowed(enclave, 'services', 'request')
    assert {*requests} <= {*allowed('/fdr_recorder', 'services', 'reply')}
    assert '/fdr_recorder/change_state' in requests
