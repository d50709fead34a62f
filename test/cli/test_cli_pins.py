# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr pin` and `fdr unpin`: what they change, what they refuse, and where it is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conftest import MakeWriter, Record, SMALL
from fdr_recorder.cli.main import main
from fdr_recorder.flights.info import read_info
from json_documents import errors
from producers import make_client, open_flight
import pytest


def fdr(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([*map(str, words)])
    return code, *capsys.readouterr()


def said(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    code, out, _ = fdr(capsys, *words, '--json')
    assert code == 0
    document = json.loads(out)
    assert not errors(str(words[0]), document)
    return document


def test_a_flight_is_pinned_and_not(
    record_flight: Record, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    flight = record_flight(close=True)
    before = {path.name: path.read_bytes() for path in flight.iterdir()}
    code, out, _ = fdr(capsys, 'pin', flight, '--note', 'near  miss')
    assert (code, out.splitlines()[0]) == (0, 'pinned as a whole: near miss')
    assert 'near miss' in fdr(capsys, 'ls', root)[1]
    info = fdr(capsys, 'info', flight)[1]
    assert all(', pinned: near miss' in line for line in info.splitlines() if '.mcap' in line)
    assert fdr(capsys, 'prune', root, '--keep', 0)[0] == 1
    document = said(capsys, 'unpin', flight)
    assert document['pins'] == {'windows': [], 'segments': []}
    assert 'near miss' not in fdr(capsys, 'ls', root)[1]
    assert before == {
        path.name: path.read_bytes() for path in flight.iterdir() if path.name != 'PINS'
    }
    assert fdr(capsys, 'prune', root, '--keep', 0)[0] == 0
    assert not flight.exists()


def test_a_part_of_a_flight_is_pinned(
    record_flight: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = record_flight(close=True)
    segments = read_info(flight).segments
    assert len(segments) > 2
    document = said(capsys, 'pin', flight, '--segment', 1)
    assert document['pinned_segments'] == [segments[1].name]
    assert document['pinned_bytes'] == segments[1].bytes
    document = said(capsys, 'pin', flight, '--to', '-1000')
    assert document['pinned_segments'] == [segments[1].name]
    document = said(capsys, 'pin', flight, '--from', 1000)
    assert document['pins']['windows'][1]['to_ns'] == 2**63 - 1
    document = said(capsys, 'pin', flight, '--from', 0, '--to', 1000)
    assert len(document['pinned_segments']) == len(segments)
    assert len(document['pins']['windows']) == 2
    document = said(capsys, 'unpin', flight, '--from', 0, '--to', 1000)
    assert document['pinned_segments'] == [segments[1].name]
    assert len(document['pins']['windows']) == 2
    document = said(capsys, 'unpin', flight, '--segment', 1)
    assert document['pinned_segments'] == []


def test_what_cannot_be_pinned_is_refused(
    record_flight: Record,
    make_writer: MakeWriter,
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flight = record_flight(close=True)
    for words, why in (
        (('--segment', 99), 'has no segment 99'),
        (('--segment', 0, '--from', 1), '--segment goes without'),
        (('--from', 2, '--to', 1), '--to must not be before'),
    ):
        code, _, error = fdr(capsys, 'pin', flight, *words)
        assert code == 3
        assert why in error
    unclosed = record_flight('killed', close=False)
    assert fdr(capsys, 'pin', unclosed)[0] == 0
    code, _, error = fdr(capsys, 'unpin', unclosed)
    assert code == 3
    assert 'fdr recover' in error
    writer = make_writer(**SMALL)
    open_flight(writer, 'now', make_client())
    code, _, error = fdr(capsys, 'pin', root / 'now')
    assert code == 3
    assert 'being written' in error
