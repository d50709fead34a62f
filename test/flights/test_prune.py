# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Old flights go, as many as the limits ask for; what must stay stays, whoever is at work."""

from __future__ import annotations

from collections.abc import Sequence
import errno
import json
import os
from pathlib import Path
import subprocess
import sys
from types import SimpleNamespace

from campaigns._recovered import snapshot
from conftest import MakeWriter, Record, SMALL
from disk_faults import SystemCall
from fdr_program import run_fdr
from fdr_recorder import FlightRoot, FlightRootLockedError
from fdr_recorder.cli.main import main
from fdr_recorder.flights.directory import flights_in
from fdr_recorder.flights.listing import by_age, list_flight, ListedFlight
from fdr_recorder.flights.prune import plan_pruning, prune
from fdr_recorder.flights.recovery.recover import recover, recover_root
from fdr_recorder.flights.status import Ended, FlightStatus
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.storage.flight_root import root_holder
from flight_check import check_flight
from hypothesis import given, settings
from hypothesis import strategies as st
from producers import make_client, open_flight, send
import pytest


def names(flights: Sequence[Path]) -> list[str]:
    return [path.name for path in flights]


@pytest.fixture
def four(record_flight: Record, root: Path) -> list[Path]:
    """Record four closed flights, `d` the oldest one."""
    return [record_flight(name, close=True) for name in 'dcba']


def run(root: Path, *options: str, code: int = 0) -> dict[str, object]:
    """Run `fdr prune`; return what it says as JSON."""
    done = run_fdr('prune', root, *options, '--json')
    assert done.returncode == code, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    return said


def ids(said: object) -> list[str]:
    assert isinstance(said, list)
    return [item['flight_id'] for item in said]


# --- the limits --------------------------------------------------------------------------------


def test_the_newest_stay(four: list[Path], root: Path) -> None:
    before = snapshot(four[3])
    said = run(root, '--keep', '2')
    assert ids(said['removed']) == ['d', 'c']
    assert names(flights_in(root)) == ['a', 'b']
    assert snapshot(four[3]) == before
    assert verify(four[2]).verdict is Verdict.COMPLETE
    assert {path.name for path in root.iterdir()} == {
        'a', 'b', '.fdr.lock', '.fdr.counter', '.fdr.pruned'
    }


def test_the_oldest_go_until_the_rest_fits(four: list[Path], root: Path) -> None:
    size = list_flight(four[0]).bytes
    said = run(root, '--max-bytes', str(2 * size + 10))
    assert ids(said['removed']) == ['d', 'c']
    assert said['bytes_left'] == sum(list_flight(path).bytes for path in flights_in(root))
    assert said['is_enough'] is True


def test_both_limits_hold(four: list[Path], root: Path) -> None:
    size = list_flight(four[0]).bytes
    assert ids(run(root, '--keep', '3', '--max-bytes', str(2 * size + 10))['removed']) == [
        'd',
        'c',
    ]
    assert ids(run(root, '--keep', '1', '--max-bytes', '1G')['removed']) == ['b']


def test_the_newest_flight_stays_whatever_its_size(four: list[Path], root: Path) -> None:
    said = run(root, '--max-bytes', '1', code=1)
    assert ids(said['removed']) == ['d', 'c', 'b']
    assert said['is_enough'] is False
    assert names(flights_in(root)) == ['a']


def test_to_keep_none_is_to_remove_all(four: list[Path], root: Path) -> None:
    assert ids(run(root, '--keep', '0')['removed']) == ['d', 'c', 'b', 'a']
    assert flights_in(root) == []


def test_without_a_limit_nothing_goes(
    four: list[Path], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['prune', str(root)]) == 3
    assert '--keep' in capsys.readouterr().err
    assert len(flights_in(root)) == 4


def test_a_dry_run_removes_nothing_and_says_the_same(four: list[Path], root: Path) -> None:
    before = snapshot(root)
    said = run(root, '--keep', '1', '--dry-run')
    assert snapshot(root) == before
    assert {**run(root, '--keep', '1'), 'dry_run': True} == said


def test_what_is_no_flight_is_left_alone(four: list[Path], root: Path) -> None:
    (root / 'notes').mkdir()
    (root / 'notes' / 'a.txt').write_text('precious')
    (root / 'b.txt').write_text('precious')
    (root / 'link').symlink_to(four[0])
    run(root, '--keep', '0')
    present = {path.name for path in root.iterdir() if not path.name.startswith('.fdr.')}
    assert present == {'notes', 'b.txt', 'link'}
    assert (root / 'notes' / 'a.txt').read_text() == 'precious'


# --- what must stay ----------------------------------------------------------------------------


def test_the_flight_that_is_being_recorded_stays(
    four: list[Path], root: Path, make_writer: MakeWriter
) -> None:
    writer, client = make_writer(**SMALL), make_client('/blob', '0a')
    open_flight(writer, 'now', client)
    send(client, range(30), 500)
    said = run(root, '--keep', '0', '--unclean', code=1)
    assert ids(said['removed']) == ['d', 'c', 'b', 'a']
    assert ids(said['spared']) == ['now']
    send(client, range(30, 60), 500)
    check_flight(writer.close_flight('now'))


@pytest.mark.parametrize('is_recovered', [False, True])
def test_what_was_not_closed_goes_only_when_it_is_said(
    record_flight: Record, root: Path, *, is_recovered: bool
) -> None:
    flight = record_flight('crashed', close=False)
    if is_recovered:
        recover(flight)
    record_flight('landed', close=True)
    said = run(root, '--keep', '0', code=1)
    assert ids(said['removed']) == ['landed']
    assert ids(said['spared']) == ['crashed']
    assert ids(run(root, '--keep', '0', '--unclean')['removed']) == ['crashed']


def test_what_a_recorder_has_to_recover_stays(
    record_flight: Record, root: Path, make_writer: MakeWriter
) -> None:
    before = snapshot(record_flight('crashed', close=False))
    record_flight('landed', close=True)
    make_writer()  # it owns the root
    said = run(root, '--keep', '0', '--unclean', code=1)
    assert ids(said['removed']) == ['landed']
    assert ids(said['spared']) == ['crashed']
    assert snapshot(root / 'crashed') == before


def test_a_recorder_that_has_come_meanwhile_keeps_what_it_has_to_recover(
    record_flight: Record, root: Path
) -> None:
    flight = record_flight('crashed', close=False)
    pruning = plan_pruning([list_flight(flight)], keep=0, unclean=True)
    assert pruning.doomed
    before = snapshot(flight)
    with (
        FlightRoot.acquire(root, owner='recorder'),
        pytest.raises(FlightRootLockedError, match='in use by'),
    ):
        list(prune(root, pruning))
    assert snapshot(flight) == before


# --- beside others -----------------------------------------------------------------------------


def test_a_recovery_at_work_does_not_bring_it_back(four: list[Path], root: Path) -> None:
    """A recorder looks at all flights when it starts; this one has gone before its turn."""
    pruning = plan_pruning([list_flight(path) for path in four], keep=2)

    def prune_meanwhile() -> bool:
        list(prune(root, pruning))
        return False

    with FlightRoot.acquire(root) as owned:
        assert list(recover_root(owned, flights=four, should_stop=prune_meanwhile)) == []
    assert names(flights_in(root)) == ['a', 'b']
    assert {path.name for path in root.iterdir()} == {
        'a', 'b', '.fdr.lock', '.fdr.counter', '.fdr.pruned'
    }


def test_an_interrupted_removal_is_no_flight_and_is_finished_by_the_next(
    four: list[Path],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        unlinks = SystemCall(patch, 'unlink')
        unlinks.fail(errno.EIO, on_call=2)
        assert main(['prune', str(root), '--keep', '3']) == 3
    assert 'Input/output error' in capsys.readouterr().err
    assert names(flights_in(root)) == ['a', 'b', 'c']
    others = {*'abc', '.fdr.lock', '.fdr.counter', '.fdr.pruned'}
    left = {path.name for path in root.iterdir()} - others
    assert len(left) == 1
    assert run(root, '--keep', '3')['removed'] == []
    assert {path.name for path in root.iterdir()} == others


# --- the plan ----------------------------------------------------------------------------------

FLIGHTS = st.lists(
    st.builds(
        ListedFlight,
        path=st.uuids().map(lambda number: Path(str(number))),
        status=st.sampled_from(Ended).map(FlightStatus),
        vehicle_id=st.just(''),
        started_ns=st.integers(0, 50),
        duration_s=st.just(1.0),
        segments=st.just(1),
        bytes=st.integers(0, 100),
        records=st.just(1),
        segments_dropped=st.just(0),
        ros_distro=st.just(''),
        flight_number=st.integers(0, 5),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(
    flights=FLIGHTS,
    keep=st.none() | st.integers(0, 13),
    max_bytes=st.none() | st.integers(0, 700),
    unclean=st.booleans(),
    in_use_by=st.sampled_from(['', 'pid 1']),
)
def test_a_plan_is_enough_and_no_more(
    flights: list[ListedFlight],
    keep: int | None,
    max_bytes: int | None,
    unclean: bool,
    in_use_by: str,
) -> None:
    plan = plan_pruning(
        flights, keep=keep, max_bytes=max_bytes, unclean=unclean, in_use_by=in_use_by
    )
    left = [flight for flight in flights if flight not in plan.doomed]
    assert plan.bytes_left == sum(flight.bytes for flight in left)
    assert all(flight in left for flight, _ in plan.spared)
    for flight in plan.doomed:
        assert flight.status.ended is not Ended.OPEN
        assert unclean or flight.status.ended is Ended.CLOSED
        assert not (in_use_by and flight.status.ended is Ended.UNKNOWN)
    holds_number = keep is None or len(left) <= keep
    holds_size = max_bytes is None or plan.bytes_left <= max_bytes
    if plan.is_enough:
        assert holds_number
        assert holds_size
    if not plan.spared:
        assert plan.is_enough
    oldest_first = sorted(flights, key=by_age)
    if plan.doomed:  # the last one to go was one too many, or one too large
        last = max(oldest_first.index(flight) for flight in plan.doomed)
        size = sum(flight.bytes for flight in (*left, oldest_first[last]))
        is_surplus = keep is not None and last < len(oldest_first) - keep
        assert is_surplus or (max_bytes is not None and size > max_bytes)


# --- who owns a root ---------------------------------------------------------------------------


def test_the_holder_of_a_root_is_seen_without_touching_its_lock(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert root_holder(root) is None
    with FlightRoot.acquire(root, owner='/somebody'):

        def refuse(*_: object) -> None:
            pytest.fail('the lock was tried')

        with monkeypatch.context() as patch:
            patch.setattr('fcntl.flock', refuse)
            holder = root_holder(root)
        assert holder is not None
        assert f'pid {os.getpid()} (/somebody on ' in holder.text
    assert root_holder(root) is None


HOLD_THE_ROOT = """
import sys
from types import SimpleNamespace
from fdr_recorder import FlightRoot, FlightRootLockedError
held = FlightRoot.acquire(sys.argv[1], owner='/child')
print(flush=True)
sys.stdin.read()
"""


def test_a_holder_that_was_killed_holds_nothing(root: Path) -> None:
    command = [sys.executable, '-c', HOLD_THE_ROOT, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        holder = root_holder(root)
        assert holder is not None
        assert f'pid {child.pid} (/child' in holder.text
        child.kill()
    assert (root / '.fdr.lock').read_text()  # it still says who it was
    assert root_holder(root) is None


def test_where_the_kernel_does_not_tell_the_lock_is_tried(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('fdr_recorder.storage.locks._LOCKS', Path('/nowhere'))
    monkeypatch.setattr('os.uname', lambda: SimpleNamespace(nodename='another'))
    with FlightRoot.acquire(root, owner='/somebody'):
        monkeypatch.setattr('os.uname', lambda: SimpleNamespace(nodename='host'))
        assert root_holder(root) is not None
    assert root_holder(root) is None
