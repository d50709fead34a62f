# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a dropped segment held survives it: losses, alerts, times, and how much it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
import errno
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

from disk_faults import is_segment_fd, SystemCall
import dropping_flight
from dropping_flight import EARLIER, FLIGHT_ID, INVALID, LOST, REFUSED
from fdr_recorder import recover, verify
from fdr_recorder.cli.main import main
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.verify import Verification
from fdr_recorder.record.dropped import CAPACITY, DroppedAccount, REMOVED
from fdr_recorder.record.kinds import (
    AlertRecord,
    FlightFooter,
    SegmentRollover,
    TransportLoss,
    WriteError,
)
from fdr_recorder.report.gather import gather
from fdr_recorder.report.page import render
from fdr_recorder.report.sections.balance import balance_of
from fdr_recorder.storage.flight_directory import FlightDirectory
from flight_check import open_flight_files, read_whole_chunks
import pytest
from waiting import wait_until

SLACK_NS = 10**8


def by_cause(result: Verification) -> Counter[tuple[str, str]]:
    """Sum up what a flight says is missing, by cause and topic."""
    sums: Counter[tuple[str, str]] = Counter()
    for loss in result.losses:
        sums[loss.cause, loss.topic] += loss.records
    return sums


def check_told(path: Path, rounds: list[tuple[int, int]], footer: FlightFooter) -> None:
    """Check that all views of a flight tell of the same losses, with true times."""
    result = verify(path)
    assert not result.damage
    sums = by_cause(result)
    count = len(rounds)
    assert sums['transport', '/imu'] == LOST * count == footer.records_lost_transport
    assert sums['overrun', '/scan'] == REFUSED * count == footer.records_dropped_overrun
    assert sums['invalid', '/bad'] == INVALID * count == footer.records_dropped_write_error
    assert sums['before_match', '/imu'] == EARLIER == footer.records_before_match
    causes = {'transport', 'overrun', 'invalid', 'before_match', 'capacity'}
    assert {loss.cause for loss in result.losses if loss.records} == causes
    for cause in ('transport', 'overrun', 'invalid'):
        losses = [loss for loss in result.losses if loss.cause == cause]
        first_ns, last_ns = (
            min(loss.first_ns for loss in losses), max(loss.last_ns for loss in losses)
        )
        assert rounds[0][0] - SLACK_NS < first_ns < rounds[0][1] + SLACK_NS, cause
        assert rounds[-1][0] - SLACK_NS < last_ns < rounds[-1][1] + SLACK_NS, cause

    (dropped,) = [loss for loss in result.losses if loss.cause == 'capacity']
    assert dropped.records == footer.records_written - result.records
    info = read_info(path)
    assert dropped.first_ns < rounds[0][1] + SLACK_NS
    assert dropped.first_ns < dropped.last_ns < info.segments[0].last_ns
    assert info.dropped.total('segments') == footer.segments_dropped
    assert info.dropped.total('bytes') == footer.bytes_dropped
    raised = Counter({key: item.raised for key, item in info.dropped.alerts.items()})
    cleared = Counter({key: item.cleared for key, item in info.dropped.alerts.items()})
    for alert in (item.payload for item in info.events if isinstance(item.payload, AlertRecord)):
        (raised if alert.raised else cleared)[alert.code, alert.subject] += 1
    assert raised['topic_missing', '/gps'] == cleared['topic_missing', '/gps'] == count
    told = info.dropped.alerts['topic_missing', '/gps']
    assert rounds[0][0] - SLACK_NS < told.first_ns < rounds[0][1] + SLACK_NS
    assert not told.is_present
    json.dumps(info.to_dict())

    listed = list_flight(path)
    assert listed.started_ns == info.listed.started_ns == dropped.first_ns
    losses = listed.status.losses
    assert (losses.transport, losses.overrun) == (LOST * count, REFUSED * count)
    assert (losses.write_error, losses.before_match) == (INVALID * count, EARLIER)
    assert (losses.capacity, losses.removed) == (dropped.records, 0)
    report = gather(path)
    balance = balance_of(report)
    assert balance is not None
    gone = info.dropped.total('records') - info.dropped.total('own_records')
    assert balance.dropped == gone
    accounted = balance.written - balance.repeated + balance.dropped_overrun
    assert balance.offered == accounted + balance.dropped_write_error


def test_what_stood_in_dropped_segments_is_told_by_every_view(tmp_path: Path) -> None:
    flight = dropping_flight.make(tmp_path)
    flight.begin()
    flight.lose()
    flight.fill(6)
    flight.lose()
    flight.fill(25)  # five times all that may be there
    summary = flight.writer.close_flight(FLIGHT_ID)
    flight.writer.stop()
    files = open_flight_files(summary.path)
    assert not files.payloads(TransportLoss)
    assert len(files.payloads(SegmentRollover)) < 10
    assert summary.footer.segments_dropped > 30
    check_told(summary.path, flight.rounds, summary.footer)


@pytest.mark.parametrize('is_closed', [True, False])
def test_a_spell_of_a_failing_disk_is_told_when_its_segment_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_closed: bool
) -> None:
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.1)
    flight = dropping_flight.make(tmp_path)
    writer = flight.writer
    fault = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    flight.begin()
    flight.fill(1)
    fault.fail(errno.EIO)
    began_ns = time.time_ns()
    wait_until(lambda: flight.send(5) and writer.status.is_degraded, 'the spell')
    wait_until(
        lambda: flight.send(5) and writer.status.counters.records_dropped_write_error > 100,
        'losses',
    )
    fault.work()
    wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
    ended_ns = time.time_ns()
    lost = writer.status.counters.records_dropped_write_error
    flight.fill(15)
    path = tmp_path / FLIGHT_ID
    if is_closed:
        writer.close_flight(FLIGHT_ID)
    writer.stop()
    assert not open_flight_files(path).payloads(WriteError)
    recovered = recover(tmp_path)
    assert len(recovered) == (not is_closed)
    losses = read_info(path).dropped.losses
    (told,) = (item for item in losses if item.cause == 'write_error')
    if recovered:
        footer = recovered[0].footer
        assert footer.records_dropped_write_error == lost
        newest = sorted(path.glob('*.mcap'))[-1].stem.rpartition('_')[2]
        # the spell has ended some early
        assert footer.rollover_count == int(newest) - told.segments
    (loss,) = [item for item in verify(path).losses if item.cause == 'write_error']
    assert (loss.records, told.error_name) == (lost, 'EIO')
    assert began_ns - SLACK_NS < loss.first_ns < loss.last_ns < ended_ns + SLACK_NS


def test_a_segment_that_was_to_be_dropped_and_is_damaged_was_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlightDirectory, 'unlink', lambda *_: None)  # as if the power was cut
    flight = dropping_flight.make(tmp_path)
    flight.begin()
    flight.fill(4)
    flight.writer.stop()
    path = tmp_path / FLIGHT_ID
    monkeypatch.undo()
    told = {
        message.payload().segment_index  # type: ignore[attr-defined]
        for segment in segment_files(path)
        for message in read_whole_chunks(segment.path)
        if message.topic == SegmentRollover.channel_topic()
    }
    assert told >= {0, 1, 2}
    (path / 'segment_000000.mcap').unlink()
    (path / 'segment_000002.mcap').write_bytes(bytes(5000))
    [recovered] = recover(tmp_path)
    assert recovered.set_aside == ('segment_000002.mcap',)
    assert recovered.footer.segments_dropped == 1
    present = sum(segment.path.stat().st_size for segment in segment_files(path))
    assert recovered.footer.bytes_written == present + recovered.footer.bytes_dropped
    verification = verify(path)
    assert verification.damage == []
    (gone,) = [loss for loss in verification.losses if loss.cause == 'capacity']
    status = list_flight(path).status.losses
    assert gone.records == status.capacity == read_info(path).dropped.total('records')


def test_what_fdr_says_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flight = dropping_flight.make(tmp_path)
    flight.begin()
    flight.lose()
    flight.fill(12)
    flight.writer.close_flight(FLIGHT_ID)
    flight.writer.stop()
    path = str(tmp_path / FLIGHT_ID)

    def said(*words: str) -> str:
        main([*words])
        return capsys.readouterr().out

    (listed,) = json.loads(said('ls', str(tmp_path), '--json'))['flights']
    info = json.loads(said('info', path, '--json'))
    (verified,) = json.loads(said('verify', path, '--json'))
    report = json.loads(said('report', path, '--json'))
    assert listed['losses'] == info['losses'] == report['losses']
    assert report['verification']['losses'] == verified['losses']
    assert report['dropped'] == info['dropped']
    sums: Counter[str] = Counter()
    for loss in verified['losses']:
        sums[loss['cause']] += loss['records']
        assert 0 < loss['first_ns'] <= loss['last_ns']
    assert sums['transport'] == listed['losses']['transport'] == LOST
    assert sums['capacity'] == listed['losses']['capacity'] > 100
    assert 'topic_missing' in {alert['code'] for alert in info['dropped']['alerts']}
    text = said('info', path)
    assert 'WARN topic_missing' in text
    assert f'{LOST} messages of /imu never reached the recorder, ' in said('verify', path)
    assert '1970' not in text
    assert ' -' not in text, 'nothing was before the flight began'
    page = render(gather(tmp_path / FLIGHT_ID))
    assert 'Alert: topic_missing' in page
    assert 'nobody publishes /gps' in page


def test_a_recorder_that_is_killed_while_it_drops_has_told_all(tmp_path: Path) -> None:
    program = [sys.executable, dropping_flight.__file__, str(tmp_path), '{}']
    rounds: list[tuple[int, int]] = []
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            while len(rounds) < 6:
                rounds.append(tuple(json.loads(process.stdout.readline())))
        finally:
            process.send_signal(signal.SIGKILL)
        rounds += [tuple(json.loads(line)) for line in process.stdout]
    before = read_info(tmp_path / FLIGHT_ID)
    (recovered,) = recover(tmp_path)
    footer = recovered.footer
    # What was told is what the files have: the last round may not have reached them.
    told = footer.records_lost_transport // LOST
    assert told in (len(rounds), len(rounds) - 1, len(rounds) + 1)
    assert before.dropped.total('records') > 0
    result = verify(recovered.path)
    assert not result.damage
    sums = by_cause(result)
    assert sums['transport', '/imu'] == footer.records_lost_transport
    assert sums['overrun', '/scan'] == footer.records_dropped_overrun >= REFUSED * 5
    assert sums['invalid', '/bad'] == footer.records_dropped_write_error >= INVALID * 5
    assert sums['before_match', '/imu'] == footer.records_before_match == EARLIER
    assert sums['capacity', ''] == footer.records_written - result.records
    first_ns = min(loss.first_ns for loss in result.losses if loss.cause == 'transport')
    assert rounds[0][0] - SLACK_NS < first_ns < rounds[0][1] + SLACK_NS
    balance = balance_of(gather(recovered.path))
    assert balance is not None
    assert balance.written - balance.dropped == balance.present
    accounted = balance.written - balance.repeated + balance.dropped_overrun
    assert balance.offered == accounted + balance.dropped_write_error


def test_segments_that_somebody_removed_are_told_apart_from_those_of_the_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('fdr_recorder.storage.durability.LOOK_INTERVAL_S', 0.05)
    flight = dropping_flight.make(tmp_path)
    flight.begin()
    flight.lose()
    flight.fill(3)
    path, writer = tmp_path / FLIGHT_ID, flight.writer
    dropped = writer.status.counters.segments_dropped
    newest = sorted(path.glob('*.mcap'))[-2]
    newest.unlink()
    wait_until(
        lambda: writer.status.counters.segments_dropped > dropped, 'the news of what is gone'
    )
    flight.fill(15)
    summary = writer.close_flight(FLIGHT_ID)
    writer.stop()
    info = read_info(path)
    (removed,) = [run for run in info.dropped.segments if run.cause == REMOVED]
    assert (removed.segments, removed.first_index) == (1, int(newest.stem.rpartition('_')[2]))
    losses = list_flight(path).status.losses
    assert losses.removed == removed.records > 0
    assert losses.capacity == info.dropped.total('records', cause=CAPACITY)
    result = verify(path)
    assert not result.damage
    sums = by_cause(result)
    assert (sums['removed', ''], sums['capacity', '']) == (losses.removed, losses.capacity)
    assert sums['transport', '/imu'] == LOST
    assert summary.footer.segments_dropped == info.dropped.total('segments')


@pytest.mark.parametrize('kept', [1, 3, 1000])
def test_a_segment_whose_drop_is_recorded_and_that_is_still_there_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Killed between the record of a drop and the removal of the file: the newest are there."""
    gone: list[str] = []
    monkeypatch.setattr(FlightDirectory, 'unlink', lambda _directory, name: gone.append(name))
    flight = dropping_flight.make(tmp_path)
    flight.begin()
    flight.lose()
    flight.fill(8)
    flight.writer.stop()  # without a footer
    path = tmp_path / FLIGHT_ID
    for name in gone[:-kept]:
        (path / name).unlink()
    (recovered,) = recover(tmp_path)
    footer = recovered.footer
    assert footer.segments_dropped == len(gone[:-kept])
    assert (footer.records_lost_transport, footer.records_before_match) == (LOST, EARLIER)
    assert (footer.records_dropped_overrun, footer.records_dropped_write_error) == (
        REFUSED, INVALID
    )
    result = verify(path)
    assert not result.damage
    assert by_cause(result)['transport', '/imu'] == LOST
    alerts = read_info(path).dropped.alerts
    assert (('topic_missing', '/gps') in alerts) == bool(footer.segments_dropped)


# --- the account ---------------------------------------------------------------------------------


def rollover(index: int, **values: object) -> SegmentRollover:
    return replace(SegmentRollover(segment_index=index, cap_bytes=1, records=10), **values)


def test_an_account_does_not_grow_with_publishers_topics_or_segments() -> None:
    account = DroppedAccount()
    for number in range(10_000):
        account.add_segment(rollover(number, cap_bytes=number % 2))
        loss = TransportLoss(topic=f'/t{number % 50}', publisher=str(number), records=1)
        account.add(number, loss)
        account.add(number, AlertRecord(code='topic_stale', subject=str(number), raised=True))
    values = account.values(100)
    assert len(values['losses']) <= 105
    assert len(values['alerts']) <= 105
    assert len(values['earlier']) <= 40
    again = DroppedAccount()
    again.add_segment(rollover(10_000, **values))
    assert again.total('segments') == 10_001
    assert again.total('records') == 100_010
    assert sum(loss.records for loss in again.losses) == 10_000
    assert {loss.topic for loss in again.losses} == {f'/t{number}' for number in range(50)}
    assert sum(alert.raised for alert in again.alerts.values()) == 10_000


def test_topics_are_summed_up_by_cause_if_there_are_too_many() -> None:
    account = DroppedAccount()
    for number in range(500):
        account.add(0, TransportLoss(topic=f'/t{number}', records=2, first_seen_ns=number + 1))
    values = account.values(20)
    assert len(values['losses']) == 21
    assert sum(loss.records for loss in values['losses']) == 1000
    (rest,) = [loss for loss in values['losses'] if not loss.topic]
    assert (rest.records, rest.times, rest.first_ns) == (960, 480, 1)
