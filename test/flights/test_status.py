# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What became of a flight: every verb, the report and JSON say the same of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import shutil
from typing import Any

from conftest import Record
from fdr_recorder.cli.main import main
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.status import (
    Completeness,
    Ended,
    FlightStatus,
    Integrity,
    Losses,
    Verdict,
)
from fdr_recorder.flights.verify import verify
from fdr_recorder.record.loss_detection import UNNUMBERED, Unseen
from fork_server import fork_server
import pytest
import story_program
from story_program import FLIGHT_ID, STORIES

COMPLETENESS = {
    'complete': 'complete', 'unseen': 'unknown', 'silent': 'not as asked',
    'empty': 'not as asked',
    **dict.fromkeys(
        ('transport', 'before_match', 'overrun', 'capacity', 'write_error', 'invalid'), 'losses'
    ),
}
EXIT_CODES = {
    'complete': 0, 'losses': 1, 'damaged': 2, 'unknown': 4, 'not_as_asked': 5, 'unclosed': 6,
    'not_authentic': 7, 'partly_authentic': 8, 'unproved': 9,
}
HIDDEN = {'unchecked', 'damaged'}
AXES = ('ended', 'integrity', 'completeness', 'authenticity', 'verdict')


@contextmanager
def told(root: Path, story: str, end: str) -> Iterator[Path]:
    """Lend a flight to which something has happened, and which has ended in one of the ways."""
    how = {'torn': 'killed', 'recovered': 'killed'}.get(end, end)
    read_by_it, ours_to_write = os.pipe()
    ours_to_read, written_by_it = os.pipe()
    process = fork_server('files').start(
        story_program.__name__, [str(root), story, how], os.environ, (read_by_it, written_by_it, 2)
    )
    os.close(read_by_it)
    os.close(written_by_it)
    with open(ours_to_read, 'rb') as said, open(ours_to_write, 'wb'):  # noqa: PTH123
        said.readline()
        if how != 'open':
            process.wait()
        flight = root / FLIGHT_ID
        last = segment_files(flight)[-1].path
        if end in ('torn', 'recovered'):
            os.truncate(last, last.stat().st_size - 7)
        if end == 'recovered':
            recover(flight)
        yield flight
    process.wait()


def said_by_all(flight: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the `status` in JSON of each verb; check the texts against it."""
    (listed,) = _json(capsys, 'ls', flight.parent)['flights']
    read = _json(capsys, 'info', flight)
    (verified,) = _json(capsys, 'verify', flight)
    reported = _json(capsys, 'report', flight, '-o', flight.parent / 'page.html')
    found = {
        'ls': listed['status'],
        'info': read['status'],
        'verify': verified['status'],
        'report': reported['verification']['status'],
    }
    code = main(['verify', str(flight)])
    assert code == EXIT_CODES[verified['status']['verdict']]
    assert f'  {verified["status"]["sentence"]}\n' in capsys.readouterr().out
    assert main(['info', str(flight)]) == 0
    assert read['status']['sentence'] in ' '.join(capsys.readouterr().out.split())
    assert reported['verdict']['headline'] == verified['status']['sentence']
    page = (flight.parent / 'page.html').read_text()
    assert verified['status']['sentence'].split(':')[0] in page
    return found


def _json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    main([*map(str, words), '--json'])
    return json.loads(capsys.readouterr().out)


def check_alike(found: dict[str, Any]) -> None:
    """Check that no verb contradicts another: the first two do not read every byte."""
    for verb, status in found.items():
        for axis in AXES:
            expected = {found['verify'][axis]}
            if axis == 'integrity' and verb in ('ls', 'info'):
                expected = {'unchecked'} if expected == {'intact'} else {*expected, 'unchecked'}
            is_hidden = {status['integrity'], found['verify']['integrity']} == HIDDEN
            if axis in ('verdict', 'completeness') and is_hidden:
                continue  # the damage is not seen yet
            assert status[axis] in expected, (verb, axis)


@pytest.mark.parametrize(
    ('story', 'end'),
    [
        *((story, end) for story in STORIES for end in ('closed', 'killed', 'recovered', 'open')),
        ('complete', 'torn'),
        ('silent', 'torn'),
    ],
)
def test_all_say_the_same(
    story: str, end: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with told(root, story, end) as flight:
        found = said_by_all(flight, capsys)
    check_alike(found)
    status = found['verify']
    assert status['ended'] == {'killed': 'unknown', 'torn': 'unknown'}.get(end, end)
    assert status['integrity'] == {'killed': 'torn', 'torn': 'torn'}.get(end, 'intact')
    completeness = COMPLETENESS[story]
    if story == 'silent':
        completeness = 'complete' if end == 'open' else completeness  # it may still come
        assert status['not_recorded'] == ({} if end == 'open' else {'/imu': 'no_publisher'})
    elif story == 'empty':
        is_known = end in ('closed', 'recovered')  # else it may still come, or have come last
        completeness = 'losses' if end in ('killed', 'torn') else 'complete'
        completeness = COMPLETENESS[story] if is_known else completeness
    elif end not in ('closed', 'open'):
        completeness = 'losses'
    assert status['completeness'] == completeness
    assert status['authenticity'] == 'not sealed'
    if end == 'closed':
        assert {said['sentence'] for said in found.values()} == {status['sentence']}


def flip(flight: Path) -> None:
    """Change a byte of a message."""
    path = segment_files(flight)[1].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def remove_one(flight: Path) -> None:
    """Remove a segment."""
    segment_files(flight)[1].path.unlink()


def cut_one(flight: Path) -> None:
    """Cut off the end of a segment that is not the last."""
    path = segment_files(flight)[1].path
    os.truncate(path, path.stat().st_size - 40)


def cut_last(flight: Path) -> None:
    """Cut off the footer."""
    path = segment_files(flight)[-1].path
    os.truncate(path, path.stat().st_size // 2)


def cut_last_bytes(flight: Path) -> None:
    """Cut off what follows the footer."""
    path = segment_files(flight)[-1].path
    os.truncate(path, path.stat().st_size - 9)


def append(flight: Path) -> None:
    """Write behind the end of the last segment."""
    with segment_files(flight)[-1].path.open('ab') as file:
        file.write(b'more')


def copy_last(flight: Path) -> None:
    """Add a segment."""
    last = segment_files(flight)[-1]
    shutil.copy(last.path, flight / f'segment_{last.index + 1:06d}.mcap')


def remove_one_and_metadata(flight: Path) -> None:
    """Remove a segment, and what names it."""
    remove_one(flight)
    (flight / 'metadata.yaml').unlink()


def remove_first_and_metadata(flight: Path) -> None:
    """Remove the oldest segment, which nobody dropped, and what names it."""
    segment_files(flight)[0].path.unlink()
    (flight / 'metadata.yaml').unlink()


DAMAGES = (
    flip, remove_one, cut_one, cut_last, cut_last_bytes, append, copy_last,
    remove_one_and_metadata, remove_first_and_metadata,
)


@pytest.mark.parametrize('damage', DAMAGES)
def test_all_say_the_same_of_damage(
    damage: Callable[[Path], None], record_flight: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = record_flight(close=True)
    damage(flight)
    found = said_by_all(flight, capsys)
    check_alike(found)
    assert found['verify']['verdict'] == 'damaged'
    assert found['verify']['completeness'] != 'complete'
    if damage is not flip:
        assert found['ls']['integrity'] == 'damaged'


def remove_last(flight: Path) -> None:
    """Remove the segment with the footer."""
    segment_files(flight)[-1].path.unlink()


@pytest.mark.parametrize('damage', [remove_one, remove_last, cut_last, cut_last_bytes, append])
def test_who_changes_a_recovered_flight_has_damaged_it(
    damage: Callable[[Path], None], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with told(root, 'complete', 'recovered') as flight:
        damage(flight)
        found = said_by_all(flight, capsys)
    check_alike(found)
    assert {status['verdict'] for status in found.values()} == {'damaged'}


def remove_metadata(flight: Path) -> None:
    """Copy the segments alone."""
    (flight / 'metadata.yaml').unlink()


def spoil_metadata(flight: Path) -> None:
    """Have an editor save it with the ends of lines of another system."""
    path = flight / 'metadata.yaml'
    path.write_bytes(path.read_bytes().replace(b'\n', b'\r\n'))


def halve_metadata(flight: Path) -> None:
    """Cut it off."""
    path = flight / 'metadata.yaml'
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize('story', ['complete', 'capacity'])
@pytest.mark.parametrize('lose', [remove_metadata, spoil_metadata, halve_metadata])
def test_without_metadata_a_closed_flight_has_its_end_and_its_losses(
    lose: Callable[[Path], None], story: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with told(root, story, 'closed') as flight:
        before = verify(flight).status.losses
        lose(flight)
        found = said_by_all(flight, capsys)
        check_alike(found)
        (sentence,) = {status['sentence'] for status in found.values()}
        assert sentence.startswith('Not closed: all was written, but `metadata.yaml` is missing')
        assert found['verify']['verdict'] == 'unclosed'
        assert found['verify']['completeness'] == COMPLETENESS[story]
        assert list_flight(flight).status.losses == verify(flight).status.losses == before
        recover(flight)
        assert verify(flight).status.ended is Ended.CLOSED


def test_segments_that_a_crash_has_cost_are_told_wherever_they_were(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with told(root, 'complete', 'killed') as flight:
        segment_files(flight)[0].path.unlink()  # its name had not reached the disk
        found = verify(flight)
        assert found.verdict is Verdict.UNCLOSED
        assert '1 segment before segment 1: not on the disk' in str(found)
        recover(flight)
        found = verify(flight)
        assert (found.verdict, found.status.ended) == (Verdict.LOSSES, Ended.RECOVERED)
        assert '1 segment before segment 1: not on the disk' in str(found)
        check_alike(said_by_all(flight, capsys))


def test_the_worst_counts() -> None:
    status = FlightStatus(Ended.CLOSED, Integrity.INTACT)
    assert (status.verdict, status.words) == (Verdict.COMPLETE, 'complete')
    unseen = Losses(unseen=Unseen({'/a': UNNUMBERED}))
    status = FlightStatus(Ended.CLOSED, Integrity.INTACT, unseen)
    assert (status.verdict, status.words) == (Verdict.UNKNOWN, 'losses unknown')
    status = FlightStatus(Ended.CLOSED, Integrity.INTACT, Losses(transport=1))
    assert (status.verdict, status.words) == (Verdict.LOSSES, 'losses')
    status = FlightStatus(Ended.CLOSED, Integrity.INTACT, is_empty=True)
    assert (status.verdict, status.words) == (Verdict.NOT_AS_ASKED, 'not as asked')
    assert status.sentence == 'Empty: no message of any topic came.'
    assert FlightStatus(Ended.OPEN, is_empty=True).verdict is Verdict.COMPLETE
    silent = {'/imu': 'no_publisher'}
    status = FlightStatus(Ended.CLOSED, Integrity.INTACT, Losses(transport=1), silent)
    assert (status.verdict, status.words) == (Verdict.NOT_AS_ASKED, 'not as asked')
    assert status.sentence == (
        'Not as asked: nothing was recorded of /imu (no publisher); 1 message lost (1 lost in '
        'transport).'
    )
    status = FlightStatus(Ended.UNKNOWN, Integrity.TORN, Losses(has_end=False), silent)
    assert (status.verdict, status.words) == (Verdict.UNCLOSED, 'not closed, not as asked')
    status = FlightStatus(Ended.UNKNOWN, Integrity.DAMAGED, Losses(has_end=False), silent)
    assert (status.verdict, status.words) == (Verdict.DAMAGED, 'damaged, not closed, not as asked')
    assert FlightStatus(Ended.OPEN, not_recorded=silent).completeness is Completeness.COMPLETE
    weights = [verdict.weight for verdict in Verdict]
    assert weights == sorted(weights)
    assert {item.name.lower(): item.value for item in Verdict} == EXIT_CODES


def test_lost_and_dropped_are_not_mixed() -> None:
    losses = Losses(transport=2, overrun=3, capacity=700, removed=10, unreadable_bytes=5)
    assert (losses.lost, losses.dropped) == (5, 710)
    assert FlightStatus(Ended.CLOSED, Integrity.INTACT, losses).sentence == (
        'Closed, with losses: 5 messages lost (2 lost in transport, 3 overrun); records gone '
        'with segments: 700 dropped for space, 10 in files that were removed; 5 B cannot be read.'
    )
