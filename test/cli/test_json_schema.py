# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What every verb prints with `--json` is what the JSON Schema in the documentation says."""

from __future__ import annotations

from collections.abc import Iterator
import copy
import json
from pathlib import Path
from typing import Any

from conftest import MakeWriter, Record
from fdr_recorder.cli.main import main
from fdr_verbs import COMMANDS
from json_documents import errors, SCHEMA
from jsonschema import Draft202012Validator
from paths_of_kinds import FLIGHTS, Kinds
import pytest

ALL = '--keep', '0', '--unclean', '--dry-run'


def said(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    code = main([*map(str, words), '--json'])
    assert code != 3, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def objects(document: Any) -> Iterator[dict[str, Any]]:
    yield from document if isinstance(document, list) else [document]


def test_there_is_a_schema_for_every_verb() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA['$defs'].keys() >= {'_'.join(command) for command in COMMANDS}


@pytest.mark.parametrize('kind', FLIGHTS)
def test_documents_of_flights_of_every_kind(
    kind: str,
    make_writer: MakeWriter,
    record_flight: Record,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flight = Kinds(root, tmp_path, make_writer, record_flight).make(kind)
    commands: list[tuple[object, ...]] = [
        ('ls', root),
        ('info', flight),
        ('verify', flight),
        ('recover', flight, '--dry-run'),
        ('export', flight, '-o', tmp_path / 'out.mcap'),
        ('cat', flight, '-n', 5),
        ('report', flight),
        ('prune', root, *ALL),
        ('prune', root, '--keep', 5),
    ]
    if kind == 'unclean':
        commands.append(('recover', flight))
    for verb, *words in commands:
        document = said(capsys, verb, *words)
        assert not errors(str(verb), document), verb
        for item in objects(document):
            assert item['schema'] == {'name': f'fdr_recorder/{verb}', 'version': '1.0'}


def test_the_lines_of_tail(record_flight: Record, capsys: pytest.CaptureFixture[str]) -> None:
    flight = record_flight(close=True)
    assert main(['tail', '--flight', str(flight), '--last', '5', '--json']) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(documents) == 5
    assert [errors('tail', document) for document in documents] == [[]] * 5


def test_the_document_of_a_check(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(['check', '--measure', '0', '--json'])
    document = json.loads(capsys.readouterr().out)
    assert not errors('check', document)


def test_the_documents_of_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, allowed = tmp_path / 'key', tmp_path / 'allowed_signers'
    name = '--principal', 'drone-7'
    made = said(capsys, 'keygen', key, *name)
    assert not errors('keygen', made)
    allowed.write_text(made['allowed_signers'], encoding='utf-8')
    for words in (('show', key, *name), ('rotate', key, *name), ('list', allowed)):
        document = said(capsys, 'keys', *words)
        assert not errors('keys', document)
        assert document['keys']
        document['keys'][0].pop('fingerprint')
        assert errors('keys', document)


def test_the_schema_is_no_empty_word(
    record_flight: Record, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = record_flight(close=True)
    for verb, place in (('ls', root), ('info', flight), ('verify', flight), ('report', flight)):
        document = said(capsys, verb, place)
        (item,) = objects(document)
        for key in item:
            broken = copy.deepcopy(document)
            next(objects(broken))[key] = {'x': {}}
            assert errors(verb, broken), (verb, key)
            next(objects(broken)).pop(key)
            assert errors(verb, broken), (verb, key)
        newer = copy.deepcopy(document)
        next(objects(newer))['schema']['version'] = '2.0'
        assert errors(verb, newer)
        newer = copy.deepcopy(document)
        next(objects(newer))['schema']['version'] = '1.7'
        next(objects(newer))['a_new_key'] = [1]
        assert not errors(verb, newer)
