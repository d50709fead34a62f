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
Brings one flight into the store: its files, and then the manifest that says which they are.

Segments are the unit: what has arrived is not sent again, whenever the work was cut. A flight that
goes on is followed, segment by segment. What has arrived stays, although the drone drops it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
import hashlib
from pathlib import Path
from typing import Any, Final

from fdr_recorder.fleet.errors import (
    FileChangedError,
    FileUnreadableError,
    ManifestError,
    NotStoredError,
    NoVehicleError,
    OtherFlightError,
    StrangeManifestError,
)
from fdr_recorder.fleet.journal import FlightFacts, Journal, NO_FACTS
from fdr_recorder.fleet.layout import decoded, FlightKey
from fdr_recorder.fleet.local_file import Content, FileState, LocalFile, read_content
from fdr_recorder.fleet.local_flight import (
    closed_files,
    files_of,
    flight_id_in,
    HEAD_BYTES,
    is_in_use,
    left_out_of,
    read_facts,
)
from fdr_recorder.fleet.manifest import Manifest, manifest_hash, ManifestFile
from fdr_recorder.fleet.pace import Pace
from fdr_recorder.fleet.store import Store, StoredObject
from fdr_recorder.fleet.stored_manifests import read_manifest
from fdr_recorder.flights.directory import DAMAGED_SUFFIX
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.status import Ended
from fdr_recorder.record.segment_names import SEGMENT_PATTERN
from fdr_recorder.version import __version__

_TRIES: Final = 4
"""So often a flight is looked at whose files change meanwhile, before others come first."""


class Arrival(Enum):
    """How far a flight is in the store."""

    STORED = 'stored'
    """All of it, with its manifest."""
    ONGOING = 'ongoing'
    """It is being recorded, or changed; what is closed of it is there."""
    PENDING = 'pending'
    """Not all of it yet."""
    REFUSED = 'refused'
    """It must not be brought there: the text says why."""
    FAILED = 'failed'
    """It cannot be read on the drone: the text says why."""


@dataclass(frozen=True)
class Outcome:
    """
    What became of a flight.

    Attributes:
        path: Its directory.
        key: Which flight of the fleet.
        arrival: How far it is in the store.
        files: How many of its files are in the store, as far as they are there.
        bytes: Their size.
        sent_bytes: What was sent of them by this call.
        manifest: SHA-256 of its manifest; empty if there is none yet.
        why: Why it is not there.
        is_pruned: Whether it was removed from the drone.
        stays: Why it was not removed, although that was asked for.
        left_out: What is in its directory and not brought, as it is no regular file.

    """

    path: Path
    key: FlightKey
    arrival: Arrival
    files: int = 0
    bytes: int = 0
    sent_bytes: int = 0
    manifest: str = ''
    why: str = ''
    is_pruned: bool = False
    stays: str = ''
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {
            'path': str(self.path),
            'vehicle': self.key.vehicle,
            'flight': self.key.flight,
            'state': self.arrival.value,
            'files': self.files,
            'bytes': self.bytes,
            'sent_bytes': self.sent_bytes,
            'manifest_sha256': self.manifest,
            'why': self.why,
            'pruned': self.is_pruned,
            'stays': self.stays,
            'left_out': list(self.left_out),
        }


class FlightOffload:
    """
    Brings flights of one root into one store, one at a time. Used by one thread.

    Attributes:
        sent: Called with the number of bytes that have arrived since the last call.
        usual_vehicle: Whose a flight is whose header cannot be read, or names no vehicle.

    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        pace: Pace,
        *,
        vehicle: str | None = None,
        sent: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        self.store = store
        self.journal = journal
        self.pace = pace
        self.sent = sent
        self.usual_vehicle = ''
        self._vehicle = vehicle
        self._sent_bytes = 0
        self._checked: set[str] = set()
        """Flights of which it is known that the store has no other of that name."""

    def facts(self, flight: Path) -> FlightFacts:
        """Return what is known of a flight, from the journal or its files."""
        known = self.journal.of(flight.name).facts
        is_known = known is not None and known.flight_id
        if known is None or not is_known or self._vehicle not in (None, known.vehicle):
            known = read_facts(flight, self._vehicle, self.usual_vehicle)
        return known

    def learn_vehicle(self, flights: Iterable[Path]) -> None:
        """Find out whose the flights of a root are, from some that say it."""
        for flight in flights:
            with suppress(OSError):
                self.usual_vehicle = self.facts(flight).vehicle
            if self.usual_vehicle:
                return

    def waiting(self, flight: Path) -> tuple[int, int]:
        """Return how many files of a flight are to be looked at, and their size."""
        known = self.journal.of(flight.name)
        files = files_of(flight)
        names = closed_files(flight) & files.keys() if is_in_use(flight) else files.keys()
        sizes = [files[name].size for name in names if not known.has(name, files[name])]
        return len(sizes), sum(sizes)

    def is_there(self, flight: Path, manifests: Mapping[str, int]) -> Outcome | None:
        """
        Return what became of a flight that has arrived whole and is as it was; else None.

        Args:
            flight: Its directory.
            manifests: Size of the manifests that are in the store, by key.

        """
        known = self.journal.of(flight.name)
        if known.facts is None or not known.manifest or is_in_use(flight):
            return None
        key = FlightKey(known.facts.vehicle, flight.name)
        is_ours = self._vehicle in (None, key.vehicle) and key.manifest in manifests
        files = files_of(flight)
        if not is_ours or not all(known.has(name, state) for name, state in files.items()):
            return None
        return self._outcome(flight, key, Arrival.STORED, known.manifest)

    def offload(self, flight: Path) -> Outcome:
        """
        Bring a flight into the store, as far as it can be.

        Raises:
            StoreError: The store refuses, is full, or does not answer.
            OSError: The directory cannot be read.
            StoppedError: The work was told to end.

        """
        facts = self.facts(flight)
        key = FlightKey(facts.vehicle, flight.name)
        if facts == NO_FACTS and self._vehicle is None:
            return Outcome(flight, key, Arrival.FAILED, why=str(NoVehicleError(flight)))
        try:
            self._check_owner(flight, key, facts)
        except (OtherFlightError, StrangeManifestError) as error:
            return Outcome(flight, key, Arrival.REFUSED, why=str(error))
        self.journal.begin(flight.name, facts)
        for _ in range(_TRIES):
            try:
                arrival, manifest = self._bring(flight, key, facts)
            except FileChangedError:
                continue
            except FileUnreadableError as error:
                return self._outcome(flight, key, Arrival.FAILED, why=str(error))
            if arrival is not Arrival.PENDING:
                return self._outcome(flight, key, arrival, manifest)
        return self._outcome(flight, key, Arrival.PENDING, why='its files are being changed')

    def offload_gone(self, name: str, root: Path) -> Outcome | None:
        """Write the manifest of what has arrived of a flight that is no longer on the drone."""
        facts = self.journal.of(name).facts
        if facts is None or self.journal.of(name).manifest:
            return None
        key = FlightKey(facts.vehicle, name)
        stored = self._stored(key)
        if not stored:
            return None
        self._check_owner(root / name, key, facts)
        before = self._stored_manifest(root / name, key)
        ended = before.ended if before is not None else Ended.UNKNOWN.value
        digest = self._write_manifest(key, facts, ended, {}, stored)
        return self._outcome(root / name, key, Arrival.STORED, digest)

    def _outcome(
        self, flight: Path, key: FlightKey, arrival: Arrival, manifest: str = '', why: str = ''
    ) -> Outcome:
        files = [file for _, file in self.journal.of(flight.name).files.values()]
        size = sum(file.size for file in files)
        sent, self._sent_bytes = self._sent_bytes, 0
        left_out = left_out_of(flight) if arrival is Arrival.STORED else ()
        return Outcome(
            flight, key, arrival, len(files), size, sent, manifest, why, left_out=left_out
        )

    def _bring(
        self, flight: Path, key: FlightKey, facts: FlightFacts
    ) -> tuple[Arrival, str]:
        """Bring what there is now; return PENDING if it has to be looked at again."""
        known = self.journal.of(flight.name)
        goes_on = is_in_use(flight)  # before the files are listed
        files = files_of(flight)
        if goes_on:
            closed = closed_files(flight)
            files = {name: state for name, state in files.items() if name in closed}
        waiting = [name for name, state in files.items() if not known.has(name, state)]
        stored = self._stored(key) if waiting or not goes_on else {}
        for name in waiting:
            try:
                self._bring_file(flight / name, key, stored.get(name))
            except FileChangedError:
                if goes_on and not (flight / name).exists():
                    continue  # the cap has dropped it
                raise
        if goes_on:
            return Arrival.ONGOING, ''
        if waiting:
            stored = self._stored(key)
        lost = [
            name
            for name in files
            if name not in stored or stored[name].size != known.files[name][1].size
        ]
        for name in lost:
            self.journal.drop(flight.name, name)
        listed = list_flight(flight, None)
        is_same = files_of(flight) == files and not is_in_use(flight)
        if lost or not is_same:
            return Arrival.PENDING, ''
        ended = Ended.UNKNOWN if listed.status.ended is Ended.OPEN else listed.status.ended
        return Arrival.STORED, self._write_manifest(key, facts, ended.value, files, stored)

    def _bring_file(self, path: Path, key: FlightKey, stored: StoredObject | None) -> None:
        """Bring a file, unless it is there."""
        name, object_key = path.name, key.file(path.name)
        if stored is not None and stored.size == path.stat(follow_symlinks=False).st_size:
            state, content = read_content(path, self.pace)
            if self._holds(stored, content, path):
                file = ManifestFile(name, content.size, content.sha256)
                self.journal.add(path.parent.name, state, file)
                return
        with LocalFile(path) as local:
            content = self.store.put_file(object_key, local, self.pace, self._count)
            state = local.state
        file = ManifestFile(name, content.size, content.sha256)
        self.journal.add(path.parent.name, state, file)

    def _count(self, count: int) -> None:
        self._sent_bytes += count
        self.sent(count)

    def _holds(self, stored: StoredObject, content: Content, path: Path) -> bool:
        """Tell whether an object is a copy of a file; read it back if the store does not say."""
        if self.store.is_link(stored.key, path):
            return False
        if stored.etag == content.etag:
            return True
        return self.hash_of_object(stored.key) == content.sha256

    def hash_of_object(self, key: str) -> str:
        """Return the SHA-256 of an object, read from the store; empty if it is not there."""
        if self.store.is_link(key):
            return ''
        digest = hashlib.sha256()
        try:
            for piece in self.store.stream_stored(key):
                self.pace.take(len(piece))
                digest.update(piece)
        except NotStoredError:
            return ''
        return digest.hexdigest()

    def _stored(self, key: FlightKey) -> dict[str, StoredObject]:
        """Return the objects of a flight's files by name."""
        return {
            decoded(item.key.rpartition('/')[2]): item for item in self.store.objects(key.files)
        }

    def _stored_manifest(self, flight: Path, key: FlightKey) -> Manifest | None:
        try:
            return Manifest.parse(read_manifest(self.store, key), key)
        except NotStoredError:
            return None
        except ManifestError as error:
            raise StrangeManifestError(flight, key, error) from None

    def _check_owner(self, flight: Path, key: FlightKey, facts: FlightFacts) -> None:
        """Raise `OtherFlightError` if the store has another flight of that name."""
        known = self.journal.of(flight.name)
        is_known = known.facts == facts and (known.files or known.manifest)
        if is_known or flight.name in self._checked:
            return
        before = self._stored_manifest(flight, key)
        if before is not None:
            is_other = facts.is_other_than(before.flight_id, before.started_ns)
        else:
            is_other = self._is_begun_by_another(key, facts)
        if is_other:
            raise OtherFlightError(flight, key)
        self._checked.add(flight.name)

    def _is_begun_by_another(self, key: FlightKey, facts: FlightFacts) -> bool:
        """Tell whether another flight of that name is on its way into the store."""
        for name, item in self._stored(key).items():
            if SEGMENT_PATTERN.fullmatch(name) and item.size:
                head = next(self.store.stream(item.key), b'')[:HEAD_BYTES]
                found = flight_id_in(head)
                if found and facts.flight_id:
                    return found != facts.flight_id
        return False

    def _write_manifest(
        self,
        key: FlightKey,
        facts: FlightFacts,
        ended: str,
        files: Mapping[str, FileState],
        stored: Mapping[str, StoredObject],
    ) -> str:
        """Write the manifest, of what is on the drone and of what was; return its SHA-256."""
        known = self.journal.of(key.flight)
        entries = [known.files[name][1] for name in files]
        for name, item in stored.items():
            if name in files or f'{name}{DAMAGED_SUFFIX}' in files:
                continue
            earlier = known.files.get(name)
            if earlier is not None and earlier[1].size == item.size:
                entries.append(earlier[1])
            elif digest := self.hash_of_object(item.key):
                entries.append(ManifestFile(name, item.size, digest))
        manifest = Manifest(
            key=key,
            flight_id=facts.flight_id,
            flight_number=facts.flight_number,
            started_ns=facts.started_ns,
            ended=ended,
            recorder=__version__,
            files=tuple(sorted(entries)),
        )
        data = manifest.to_bytes()
        digest = manifest_hash(data)
        if known.manifest != digest or self.store.head(key.manifest) is None:
            self.store.put(key.manifest, data)
        self.journal.finish(key.flight, digest)
        return digest
