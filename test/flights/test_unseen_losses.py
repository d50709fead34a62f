# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Where losses in transport cannot be seen, and what was sent before it was heard: both said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blind_flight import BEFORE_MATCH, LATE, LOST, record_blind, SENT, SENTENCE
from conftest import MakeWriter
from fdr_recorder import recover
from fdr_recorder.cli.main import main
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.record.loss_detection import (
    EITHER,
    UNNUMBERED,
    Unseen,
    unseen_in_footer,
    UNTOLD,
)
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.report.gather import gather
from fdr_recorder.report.page import render
from fdr_recorder.report.verdict import Level, verdict
from flight_check import check_identities, open_flight_files
import pytest
from report_pages import Page


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    assert main([*map(str, arguments)]) == code
    return capsys.readouterr().out


# --- the sentence ------------------------------------------------------------------------------


def test_there_is_one_sentence() -> None:
    assert str(Unseen()) == ''
    topics = dict.fromkeys(('/b', '/c', '/a'), UNNUMBERED)
    assert str(Unseen(topics)) == (
        'losses in transport cannot be seen on 3 topics (/a, /b, /c): '
        'the middleware does not number messages'
    )
    assert str(Unseen({'/a': UNNUMBERED})).startswith(
        'losses in transport cannot be seen on 1 topic (/a): '
    )


def test_each_reason_has_its_topics_and_long_lists_end() -> None:
    many = {f'/t{number:03d}': UNTOLD for number in range(500)}
    text = str(Unseen({**many, '/a': UNNUMBERED}))
    assert text.startswith(f'losses in transport cannot be seen on 1 topic (/a): {UNNUMBERED}; ')
    assert text.endswith(f'/t009, and 490 more): {UNTOLD}')
    assert len(str(Unseen({'/' + 'x' * 1000: UNTOLD}))) < 400


@pytest.mark.parametrize(
    ('detection', 'publisher', 'first', 'clean', 'rmw', 'reason'),
    [
        ('sequence', '0a', 7, True, 'rmw_fastrtps_cpp', ''),
        ('none', '0a', 0, True, 'rmw_fastrtps_cpp', UNNUMBERED),
        ('none', '', 0, True, 'rmw_cyclonedds_cpp', UNNUMBERED),
        ('none', '', 7, True, 'rmw_fastrtps_cpp', UNTOLD),
        ('none', '', 0, False, 'rmw_fastrtps_cpp', EITHER),
        ('none', '', 0, False, 'rmw_cyclonedds_cpp', UNNUMBERED),  # recovered
        ('', '', 0, True, 'rmw_fastrtps_cpp', EITHER),  # 0.1.0 on Jazzy
        ('', '0a', 0, True, 'rmw_fastrtps_cpp', ''),  # 0.1.0 on Kilted
        ('', '', 0, False, 'rmw_cyclonedds_cpp', UNNUMBERED),
        ('', '', 0, True, '', ''),  # no middleware
    ],
)
def test_why_losses_cannot_be_seen(
    detection: str, publisher: str, first: int, clean: bool, rmw: str, reason: str
) -> None:
    counters = ProducerCounters(
        topic='/a', publisher=publisher, loss_detection=detection, first_sequence=first
    )
    own = ProducerCounters(topic='/fdr/alert')
    footer = FlightFooter(clean_shutdown=clean, producers=(counters, own))
    unseen = unseen_in_footer(footer, FlightHeader(rmw_implementation=rmw))
    assert unseen.reasons == ({'/a': reason} if reason else {})


@pytest.mark.parametrize('order', [1, -1])
def test_of_several_reasons_that_without_numbers_is_named(order: int) -> None:
    told = {UNNUMBERED: ('0a', 0), UNTOLD: ('', 7)}
    producers = [
        ProducerCounters(
            topic='/a', publisher=gid, loss_detection='none', first_sequence=first, folded=folded
        )
        for gid, first, folded in ((*told[UNNUMBERED], 0), (*told[UNTOLD], 0), ('', 0, 5))
    ]
    for count, reason in ((3, UNNUMBERED), (2, UNTOLD), (1, EITHER)):
        footer = FlightFooter(
            clean_shutdown=True, producers=tuple(producers[-count:][::order])
        )
        assert unseen_in_footer(footer, FlightHeader()).reasons == {'/a': reason}


# --- a closed flight ---------------------------------------------------------------------------


@pytest.fixture
def flight(make_writer: MakeWriter, root: Path) -> Path:
    return record_blind(make_writer, root)


@pytest.fixture
def blind(make_writer: MakeWriter, root: Path) -> Path:
    """Make a flight without a publisher whose losses could be seen."""
    return record_blind(make_writer, root, topics=('/a', '/b'))


def test_the_identities_hold(flight: Path) -> None:
    files = open_flight_files(flight)
    check_identities(files, files.footer)
    counters = {item.topic: item for item in files.footer.producers}
    late = counters[LATE]
    assert (late.offered, late.lost_transport, late.before_match) == (SENT, LOST, BEFORE_MATCH)
    assert late.first_sequence == BEFORE_MATCH + 1
    assert {name: item.loss_detection for name, item in counters.items() if name[1] != 'f'} == {
        '/a': 'none', '/b': 'none', LATE: 'sequence'
    }  # fmt: skip
    assert files.custom_data['records_before_match'] == str(BEFORE_MATCH)


def test_info_says_it(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, 0, 'info', flight)
    assert f'unknown   {SENTENCE}\n' in text
    assert f'missing   at least {LOST} lost in transport, {BEFORE_MATCH} sent before heard' in text
    assert f'messages were sent before their publisher was heard: {BEFORE_MATCH} of /late' in text
    assert f', at least {LOST} lost in transport, ' in text
    lost = {line.split()[0]: line.split()[-1] for line in text.splitlines() if line[:1] == '/'}
    assert lost == {'/a': '?', '/b': '?', LATE: str(LOST + BEFORE_MATCH)}


def test_info_never_says_none_of_what_cannot_be_seen(
    blind: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, 0, 'info', blind)
    assert 'missing   unknown in transport on 2 topics\n' in text
    assert SENTENCE in text
    assert '0 lost in transport' not in text


def test_documents_say_it(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ('info', 'report'):
        found = json.loads(said(capsys, 0, verb, flight, '--json'))
        check_document(found, transport=LOST, before_match=BEFORE_MATCH)
        topics = {item['name']: item for item in found['topics']}
        assert topics['/a']['why_unseen'] == UNNUMBERED
        assert topics['/a']['lost_transport'] is None
        assert (topics[LATE]['lost_transport'], topics[LATE]['why_unseen']) == (LOST, '')
        assert topics[LATE]['before_match'] == BEFORE_MATCH


def check_document(found: Any, *, transport: int | None, before_match: int) -> None:
    assert found['unseen'] == SENTENCE
    assert found['losses']['unseen_topics'] == ['/a', '/b']
    assert found['losses']['transport'] == transport
    assert found['losses']['before_match'] == before_match


def test_ls_says_it(blind: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, 0, 'ls', blind.parent)
    assert 'unknown in transport on 2 topics' in text
    (item,) = json.loads(said(capsys, 0, 'ls', blind.parent, '--json'))['flights']
    check_document(item, transport=None, before_match=0)


def test_verify_says_it(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, 1, 'verify', flight)
    assert f'  unknown: {SENTENCE}\n' in text
    assert f'{BEFORE_MATCH} messages of /late were sent before their publisher was heard' in text
    (found,) = json.loads(said(capsys, 1, 'verify', flight, '--json'))
    assert (found['unseen'], found['unseen_topics']) == (SENTENCE, ['/a', '/b'])
    losses = {item['cause']: item['records'] for item in found['losses']}
    assert losses == {'transport': LOST, 'before_match': BEFORE_MATCH}


def test_what_cannot_be_seen_is_no_damage_and_no_loss(blind: Path) -> None:
    """Its sequence numbers, which are all 0, mean nothing."""
    verification = verify(blind)
    assert verification.verdict is Verdict.UNKNOWN
    assert 'nothing is known to be missing' in str(verification)
    assert SENTENCE in str(verification)


def test_what_was_sent_before_it_was_heard_explains_no_gap(
    make_writer: MakeWriter, root: Path
) -> None:
    flight = record_blind(make_writer, root, topics=(LATE,), tells_loss=False)
    assert f'{LOST} messages are missing without a trace' in str(verify(flight))


def test_the_report_says_it(flight: Path) -> None:
    report = gather(flight)
    found = verdict(report)
    assert found.level is Level.LOSS
    assert found.headline.startswith(f'Closed, with losses: {LOST + BEFORE_MATCH} messages lost ')
    assert (
        f'Every one of {3 * SENT + LOST + BEFORE_MATCH} messages that the recorder knows of is '
        f'accounted for; {LOST + BEFORE_MATCH} are not in this recording.'
    ) in found.sentences
    assert f'L{SENTENCE[1:]}.' in found.sentences
    late = f'{BEFORE_MATCH} messages of /late were sent before their publisher was heard, at '
    assert any(sentence.startswith(late) for sentence in found.sentences)
    page = Page(render(report))
    assert f'L{SENTENCE[1:]}.' in page.text
    assert 'The sum above is right' in page.text
    assert any(words.startswith(f'{BEFORE_MATCH} messages of /late') for words in page.words())


def test_the_report_does_not_call_it_complete(blind: Path) -> None:
    report = gather(blind)
    found = verdict(report)
    assert found.level is Level.WARN
    assert found.headline == (
        'Closed, and nothing is known to be missing: losses in transport cannot be seen on 2 '
        'topics.'
    )
    assert (
        f'Every one of {2 * SENT} messages that the recorder knows of is accounted for.'
    ) in found.sentences
    page = Page(render(report))
    assert 'Nothing was lost on the way' not in page.text
    assert 'never reached the recorder' not in page.text
    assert 'transport unknown on 2 topics' in page.text
    assert f'cannot be seen: {UNNUMBERED}' in page.text


# --- flights that were not closed --------------------------------------------------------------


def test_an_abandoned_flight_says_it(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = record_blind(make_writer, root, close=False)
    found = json.loads(said(capsys, 0, 'info', flight, '--json'))
    assert found['losses']['unseen_topics'] == ['/a', '/b']
    assert found['losses']['before_match'] == BEFORE_MATCH
    topics = {item['name']: item for item in found['topics']}
    assert topics[LATE]['before_match'] == BEFORE_MATCH
    assert topics['/a']['lost_transport'] is None
    assert 'cannot be seen on' in said(capsys, 6, 'verify', flight)
    (item,) = json.loads(said(capsys, 0, 'ls', root, '--json'))['flights']
    assert item['losses']['unseen_topics'] == ['/a', '/b']


def test_a_recovered_flight_says_it(make_writer: MakeWriter, root: Path) -> None:
    flight = record_blind(make_writer, root, close=False)
    recover(root)
    files = open_flight_files(flight)
    assert not files.footer.clean_shutdown
    assert files.footer.records_before_match == BEFORE_MATCH
    counters = {item.topic: item for item in files.footer.producers}
    late = counters[LATE]
    assert (late.offered, late.lost_transport, late.before_match) == (SENT, LOST, BEFORE_MATCH)
    assert (counters['/a'].loss_detection, late.loss_detection) == ('none', 'sequence')
    assert counters['/fdr/flight_header'].loss_detection == ''
    assert verify(flight).damage == []
    assert verify(flight).unseen.topics == ['/a', '/b']


# --- flights of older versions -----------------------------------------------------------------


@pytest.mark.parametrize('close', [True, False])
def test_a_flight_of_a_version_that_did_not_say(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str], *, close: bool
) -> None:
    """Version 0.1.0 followed the numbers of publishers that it knew, and of no others."""
    flight = record_blind(make_writer, root, topics=('/a', LATE), close=close, detection='')
    found = json.loads(said(capsys, 0, 'info', flight, '--json'))
    assert found['losses']['unseen_topics'] == ['/a']
    assert found['unseen'] == f'losses in transport cannot be seen on 1 topic (/a): {UNNUMBERED}'
    assert f'unknown   {found["unseen"]}\n' in said(capsys, 0, 'info', flight)
    assert verify(flight).unseen.topics == ['/a']
