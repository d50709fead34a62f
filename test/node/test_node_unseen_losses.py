# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The ground and `fdr check` are told where losses in transport cannot be seen."""

from __future__ import annotations

from pathlib import Path

from blind_flight import BEFORE_MATCH, LATE, record_blind, SENTENCE
from conftest import MakeWriter
from faulty_recorder import Faults, FaultyRecorder
from fdr_recorder.cli.preflight_checks import Check, Outcome, PreflightChecks
from fdr_recorder.config import FdrConfig
from fdr_recorder.flights.info import read_info
from fdr_recorder.node.diagnostics_summary import RecorderSummary
from ground import DiagnosticStatus, Ground, values_of
from middlewares import CycloneOnKilted
import pytest
from std_msgs.msg import String


def test_the_summary_on_diagnostics(ground: Ground, root: Path) -> None:
    faults = Faults()
    with FaultyRecorder(ground, root, faults, topics=('/a', '/b', '/c')) as recorder:
        summary = RecorderSummary()

        def made() -> DiagnosticStatus:
            status = recorder.writer.status
            return summary.configured('active', root, recorder.watch, status)

        before = made()
        assert before.message == 'recording x'
        assert 'unseen_losses' not in values_of(before)
        faults.change[''] = CycloneOnKilted()
        publishers = [ground.publisher(String, topic, 10) for topic in ('/a', '/b')]
        for publisher in publishers:
            publisher.publish(String(data='a'))
        ground.wait_until(lambda: len(recorder.writer.status.unseen.topics) == 2)
        status = made()
        assert status.message == f'recording x; {SENTENCE}'
        values = values_of(status)
        assert values['unseen_losses'] == SENTENCE
        assert values['records_lost_transport'] == 'unknown'
        assert values['records_before_match'] == '0'


def checks_of(flight: Path) -> dict[str, Check]:
    preflight = PreflightChecks(None, minutes=1, measure_s=1)
    found = read_info(flight)
    preflight.topics = [topic for topic in found.topics.values() if not topic.is_own]
    return {check.name: check for check in preflight._check_topics(FdrConfig(), found)}


def test_check_says_it(make_writer: MakeWriter, root: Path) -> None:
    checks = checks_of(record_blind(make_writer, root, topics=('/a', '/b')))
    assert checks['losses'] == Check('losses', Outcome.OK, 'none known in the rehearsal')
    assert checks['loss detection'] == Check('loss detection', Outcome.OK, SENTENCE)


@pytest.mark.parametrize('tells_loss', [False, True])
def test_check_says_that_all_are_seen(
    make_writer: MakeWriter, root: Path, *, tells_loss: bool
) -> None:
    """What a publisher sent before it was heard is no failure: it may just have been started."""
    checks = checks_of(record_blind(make_writer, root, topics=(LATE,), tells_loss=tells_loss))
    assert checks['losses'].outcome is (Outcome.FAILED if tells_loss else Outcome.OK)
    if tells_loss:
        assert f'{BEFORE_MATCH} sent before heard' in checks['losses'].text
    assert checks['loss detection'].text == 'losses in transport are seen on all topics'
