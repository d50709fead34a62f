# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Sealed flights are changed at random: nothing may be missed, and no honest end may look like it.

A round records flights of one vehicle that are closed, dropped from by the cap, killed, cut off by
a power cut, recovered, or on a disk that fails. `verify --keys` must accept each of them. Then
copies of them are changed at random: bits, pieces, whole segments, seals, the files beside them,
the whole flight put back to an older state or made anew with another key. Of a flight that was
closed every change must be told as such, and where it is; of one that was not, it must be in what
is told as changed, or as not covered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import hashlib
from pathlib import Path
import random
import shutil
import time

from campaigns import Figures
from campaigns._interpose import recorder_logs
from campaigns._sealed import KINDS, Sealed, seals_of, SYNC_INTERVAL_S, Vehicle
from fdr_recorder.flights.status import Authenticity, Verdict
from fdr_recorder.flights.verify import Verification, verify
from fdr_recorder.flights.verify.chain import Place
from fdr_recorder.flights.verify.succession import check_succession
from fdr_recorder.flights.verify.trust import Trust
from fdr_recorder.record.dropped import CAPACITY
from fdr_recorder.seal.keys import SessionKey
from fdr_recorder.seal.seal import NAMESPACE, seal_record
from fdr_recorder.seal.sshsig import sign
import pytest
from sealed_ground import sizes

NAME = 'tamper'
ABOUT = (
    'Sealed flights are changed at random, and honest ones end in any way: no change is missed, '
    'none is seen where there is none.'
)
DEFAULT_ROUNDS = 400
SHORT_ROUNDS = 1

MUTATIONS = 25
"""In each round."""
SIDECARS = ('SEALS', 'SHA256SUMS', 'SHA256SUMS.sig', 'metadata.yaml')
_ACCEPTED = (Authenticity.AUTHENTIC, Authenticity.AUTHENTIC_UP_TO)
_BUSY_S = 2.0
"""By how much a busy machine may be late with a sync."""


@dataclass(frozen=True)
class Change:
    """
    What was done to a copy of a flight.

    Attributes:
        what: In words, for a round that fails.
        file: Which file must be named; empty if it is not said which.
        offset: At which byte it differs; -1 if the place is not known.
        is_rollback: Whether only the next flight can tell.
        is_forgery: Whether all of it is sealed anew, with a key that nobody trusts.
        is_like_a_kill: Whether it is as if the recorder had been killed when all was recorded,
            right before it renewed the files beside the segments.
        is_drop: Whether a segment is not there any more.

    """

    what: str
    file: str = ''
    offset: int = -1
    is_rollback: bool = False
    is_forgery: bool = False
    is_like_a_kill: bool = False
    is_drop: bool = False


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Run one round: four flights, and `MUTATIONS` changes of copies of them."""
    with recorder_logs():
        return run(rng, directory, flights=4, mutations=MUTATIONS)


def run_short_round(rng: random.Random, directory: Path) -> Figures:
    """Run a round that takes few seconds."""
    with recorder_logs():
        return run(rng, directory, flights=2, mutations=12)


def run(rng: random.Random, directory: Path, *, flights: int, mutations: int) -> Figures:
    """Run a round; return how many changes and honest flights it had."""
    pytest.importorskip('cryptography')
    vehicle = Vehicle(directory, rng)
    kinds = [rng.choice(KINDS) for _ in range(flights - 1)]
    for kind in (*kinds, 'closed'):
        vehicle.fly(kind)
    honest = {flight.path: check_honest(vehicle, flight) for flight in vehicle.flights}
    findings = check_succession(list(honest.values()), vehicle.root, Trust.of_file(vehicle.keys))
    assert not findings, [str(finding) for finding in findings]
    lags = [
        flight.killed_at - verified_until(honest[flight.path])
        for flight in vehicle.flights if flight.killed_at
    ]
    for number in range(mutations):
        flight = rng.choice(vehicle.flights[:-1] if number % 8 == 0 else vehicle.flights)
        copy = directory / 'copy' / flight.path.name
        shutil.copytree(flight.path, copy)
        sealed = honest[flight.path].authentication.seal
        change = roll_back(rng, flight, copy, sealed) if number % 8 == 0 else None
        change = change or tamper(rng, vehicle, flight, copy)
        check_tampered(vehicle, flight, copy, change, honest[flight.path])
        shutil.rmtree(copy)
    return {
        'changes': mutations,
        'honest flights': flights,
        **({'killed after the newest seal, s': max(lags)} if lags else {}),
    }


# --- what must hold -----------------------------------------------------------------------------


def check_honest(vehicle: Vehicle, flight: Sealed) -> Verification:
    """Check that nothing looks like tampering; return what `verify` says."""
    verification = verify(flight.path, keys=vehicle.keys)
    found = verification.authentication
    assert found.state in _ACCEPTED, f'a false alarm: {flight.kind}: {verification}'
    assert not found.faults
    if flight.is_closed:
        assert found.state is Authenticity.AUTHENTIC, str(verification)
    if flight.killed_at:
        assert flight.killed_at - verified_until(verification) < SYNC_INTERVAL_S + _BUSY_S
    return verification


def verified_until(verification: Verification) -> float:
    """Return up to when a flight is authentic (system clock, s)."""
    newest = max(
        (
            (seal.number, seal.utc)
            for path in verification.path.glob('*.mcap') for _, _, seal in seals_of(path)
        ),
    )
    assert newest[0] == verification.authentication.seal
    whole, _, fraction = newest[1].rstrip('Z').partition('.')
    seconds = time.mktime(time.strptime(f'{whole}+0000', '%Y-%m-%dT%H:%M:%S%z'))
    return seconds - time.timezone + float(f'0.{fraction}')


def check_tampered(
    vehicle: Vehicle, flight: Sealed, copy: Path, change: Change, before: Verification
) -> None:
    """Check that a change is told, and where it is."""
    verification = verify(copy, keys=vehicle.keys)
    found = verification.authentication
    about = f'{flight.kind}: {change.what}: {verification}'
    if change.is_forgery:
        assert found.state not in _ACCEPTED, f'missed: {about}'
        return
    if change.is_rollback:
        index = vehicle.flights.index(flight)
        following = verify(vehicle.flights[index + 1].path, keys=vehicle.keys)
        findings = check_succession(
            [verification, following], vehicle.root, Trust.of_file(vehicle.keys)
        )
        findings = [item for item in findings if item.verdict is Verdict.NOT_AUTHENTIC]
        is_told = found.state not in _ACCEPTED
        assert is_told or [finding.flight for finding in findings] == [copy], f'missed: {about}'
        return
    if flight.is_closed and not change.is_like_a_kill:
        assert found.state is Authenticity.NOT_AUTHENTIC, f'missed: {about}'
        places = found.faults
    else:
        assert found.state is not Authenticity.AUTHENTIC, f'missed: {about}'
        places = [*found.faults, *found.uncovered]
    is_told_as_missing = change.is_drop and (
        any(loss.segments for loss in verification.losses)
        or dropped_records(verification) > dropped_records(before)  # it was about to be dropped
    )
    if change.file and not is_told_as_missing:
        assert any(is_there(place, change) for place in places), f'not where it is: {about}'


def dropped_records(verification: Verification) -> int:
    """Return how many records went with segments that were dropped."""
    return sum(loss.records for loss in verification.losses if loss.cause == CAPACITY)


def is_there(place: Place, change: Change) -> bool:
    """Tell whether a range that is told contains the change, or is all of the file."""
    if change.file == 'SHA256SUMS.sig' and place.file == 'SHA256SUMS':
        return True  # one of the two was changed, and nobody can tell which
    if place.file != change.file:
        return False
    is_whole = place.start == place.end or change.offset < 0
    return is_whole or place.start <= change.offset <= place.end


# --- what is done -------------------------------------------------------------------------------


def tamper(rng: random.Random, vehicle: Vehicle, flight: Sealed, copy: Path) -> Change:
    """Change a copy of a flight in a random way."""
    while True:
        change = rng.choice(_WAYS)(rng, vehicle, flight, copy)
        if change is not None:
            return change


Way = Callable[[random.Random, Vehicle, Sealed, Path], 'Change | None']


def change_bytes(
    rng: random.Random, _vehicle: Vehicle, flight: Sealed, copy: Path
) -> Change | None:
    """Flip a bit, cut out, insert or overwrite a piece of a file."""
    names = [*sizes(copy), *sizes(copy), *(name for name in SIDECARS if (copy / name).exists())]
    path = copy / rng.choice(names)
    before = path.read_bytes()
    if not before:
        return None
    data = bytearray(before)
    place = rng.randrange(len(data))
    size = rng.choice([1, 4, 100, 512, 4000])
    way = rng.choice(['flip', 'cut', 'insert', 'repeat', 'overwrite', 'zero'])
    if way == 'flip':
        data[place] ^= 1 << rng.randrange(8)
    elif way == 'cut':
        del data[place: place + size]
    elif way == 'insert':
        data[place:place] = rng.randbytes(size)
    elif way == 'repeat':
        other = rng.randrange(len(data))
        data[place:place] = before[other: other + size]
    elif way == 'overwrite':
        other = rng.randrange(len(data))
        piece = before[other: other + size]
        data[place: place + len(piece)] = piece
    else:
        data[place: place + size] = bytes(len(data[place: place + size]))
    if data == before:
        return None
    path.write_bytes(data)
    shorter = min(len(data), len(before))
    offset = next((n for n in range(shorter) if data[n] != before[n]), shorter)
    if not flight.is_closed and offset == len(data):
        return None  # it was cut at its end: that is a rollback
    return Change(f'{way} {path.name} at {offset}', path.name, offset)


def change_segments(
    rng: random.Random, vehicle: Vehicle, flight: Sealed, copy: Path
) -> Change | None:
    """Swap two segments, drop, repeat or rename one, or take it from another flight."""
    names = sorted(sizes(copy))
    way = rng.choice(['swap', 'drop', 'repeat', 'splice', 'move'])
    name = rng.choice(names)
    if way == 'swap' and len(names) > 1:
        other = rng.choice([item for item in names if item != name])
        (copy / name).rename(copy / 'x')
        (copy / other).rename(copy / name)
        (copy / 'x').rename(copy / other)
        return Change(f'swap {name} and {other}', name)
    if way == 'drop' and (flight.is_closed or name != names[-1]) and len(names) > 1:
        (copy / name).unlink()
        return Change(f'drop {name}', name, is_drop=not flight.is_closed)
    if way == 'repeat':
        more = f'segment_{int(names[-1][8:14]) + 1:06}.mcap'
        shutil.copy(copy / name, copy / more)
        return Change(f'repeat {name} as {more}', more)
    if way == 'splice':
        others = [item for item in vehicle.flights if item.path != flight.path]
        source = rng.choice(others).path / name
        if source.exists():
            shutil.copy(source, copy / name)
            return Change(f'take {source}', name)
    if way == 'move' and flight.is_closed:
        more = f'segment_{int(names[-1][8:14]) + rng.randint(1, 3):06}.mcap'
        (copy / name).rename(copy / more)
        return Change(f'move {name} to {more}', more)
    return None


def replace_seal(
    rng: random.Random, _vehicle: Vehicle, _flight: Sealed, copy: Path
) -> Change | None:
    """Put another seal of the flight in place of a seal, or one that is signed anew."""
    every = [(path, *item) for path in copy.glob('*.mcap') for item in seals_of(path)]
    if len(every) < 2:
        return None
    (path, start, end, seal), (other, begin, stop, _) = rng.sample(every, 2)
    record = other.read_bytes()[begin:stop]
    if rng.random() < 0.5:
        record = seal_record(seal.text, sign(SessionKey.generate(), NAMESPACE, seal.text.encode()))
    data = bytearray(path.read_bytes())
    if len(record) != end - start or record == data[start:end]:
        return None
    data[start:end] = record
    path.write_bytes(data)
    return Change(f'replace the seal of {path.name} at {start}', path.name, start)


def reseal(rng: random.Random, _vehicle: Vehicle, _flight: Sealed, copy: Path) -> Change | None:
    """Change a message, and make its seal right again, with a key of one's own."""
    path = copy / rng.choice([*sizes(copy)])
    seals = seals_of(path)
    if not seals:
        return None
    start, end, seal = rng.choice(seals)
    data = bytearray(path.read_bytes())
    place = rng.randrange(8, start)
    data[place] ^= 1 << rng.randrange(8)
    sha256 = hashlib.sha256(data[:start]).hexdigest()
    text = seal.text.replace(seal.sha256, sha256)
    record = seal_record(text, sign(SessionKey.generate(), NAMESPACE, text.encode()))
    if len(record) != end - start:  # recovery may sign with a key of another type
        return None
    data[start:end] = record
    path.write_bytes(data)
    return Change(f'change {path.name} at {place}, and seal it anew', path.name, place)


def change_sidecars(
    rng: random.Random, _vehicle: Vehicle, flight: Sealed, copy: Path
) -> Change | None:
    """Edit `metadata.yaml`, with its line in SHA256SUMS; remove a file, or take an older one."""
    way = rng.choice(['edit', 'remove', 'older', 'reorder'])
    if way == 'edit' and (copy / 'metadata.yaml').exists() and (copy / 'SHA256SUMS').exists():
        before = (copy / 'metadata.yaml').read_bytes()
        places = [n for n, byte in enumerate(before) if byte in b'123456789']
        data = bytearray(before)
        data[rng.choice(places)] = ord('0')
        sums = (copy / 'SHA256SUMS').read_text()
        was, now = (hashlib.sha256(content).hexdigest() for content in (before, data))
        if was not in sums:
            return None
        (copy / 'metadata.yaml').write_bytes(data)
        (copy / 'SHA256SUMS').write_text(sums.replace(was, now))
        return Change('edit metadata.yaml and its line in SHA256SUMS')
    if way == 'remove':
        names = [name for name in SIDECARS if (copy / name).exists()]
        if names:
            name = rng.choice(names)
            (copy / name).unlink()
            return Change(f'remove {name}', name if flight.is_closed else '')
    if way == 'older' and flight.older is not None:
        names = [name for name in SIDECARS if (flight.older / name).exists()]
        taken = rng.sample(names, rng.randint(1, len(names))) if names else []
        if any((copy / name).read_bytes() != (flight.older / name).read_bytes() for name in taken):
            for name in taken:
                shutil.copy(flight.older / name, copy / name)
            signed = {'SHA256SUMS', 'SHA256SUMS.sig'}  # before the rest was, and then a kill
            return Change(f'take older {", ".join(taken)}', is_like_a_kill=signed <= {*taken})
    if way == 'reorder' and flight.is_closed:
        mark = b'-----END SSH SIGNATURE-----\n\n'
        entries = (copy / 'SEALS').read_bytes().split(mark)[:-1]
        if len(entries) > 1:
            first, second = rng.sample(range(len(entries)), 2)
            entries[first], entries[second] = entries[second], entries[first]
            (copy / 'SEALS').write_bytes(b''.join(entry + mark for entry in entries))
            return Change('reorder SEALS', 'SEALS')
    return None


def seal_with_another_key(
    rng: random.Random, vehicle: Vehicle, flight: Sealed, copy: Path
) -> Change | None:
    """Record a flight of the same name with another key; take all of it, or a part."""
    directory = vehicle.directory / 'his'
    if not directory.exists():
        directory.mkdir()
        his = Vehicle(directory, rng)
        his.fly('closed')
    [forged] = [path for path in (directory / 'flights').iterdir() if path.is_dir()]
    if rng.random() < 0.3:
        shutil.rmtree(copy)
        shutil.copytree(forged, copy)
        return Change('seal all with another key', is_forgery=True)
    common = sorted({path.name for path in copy.iterdir()} & {p.name for p in forged.iterdir()})
    if not flight.is_closed or not common:
        return None
    name = rng.choice(common)
    shutil.copy(forged / name, copy / name)
    return Change(f'take {name} of another key', name)


def roll_back(rng: random.Random, flight: Sealed, copy: Path, sealed: int) -> Change | None:
    """
    Put a flight back to an older state, before the newest seal that stands for something.

    Where a power cut has left a newer one, that stands for nothing: before what that says is safe.
    An honest power cut may take the rest as well.
    """
    if flight.older is not None:
        shutil.rmtree(copy)
        shutil.copytree(flight.older, copy)
        return Change('put an older state back', is_rollback=True)
    every = sorted(
        ((path, *item) for path in copy.glob('*.mcap') for item in seals_of(path)),
        key=lambda item: item[3].number,
    )
    last = every[-1][3]
    safe = sealed if last.number <= sealed else min(sealed, last.durable)
    before = [item for item in every if item[3].number <= safe]
    if not before:
        return None
    newest = before[-1]
    path, start = newest[0], newest[1]
    data = path.read_bytes()
    place = rng.randint(0, start)
    path.write_bytes(data[:place])
    return Change(f'cut {path.name} back to {place}', is_rollback=True)


_WAYS: tuple[Way, ...] = (
    change_bytes, change_bytes, change_bytes, change_segments, replace_seal, reseal,
    change_sidecars, seal_with_another_key,
)
