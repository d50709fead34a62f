# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What jobs share that fetch a flight, look at it and put what they make into the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Final

from fdr_recorder.fleet.errors import NotStoredError
from fdr_recorder.fleet.jobs.fetching import fetch
from fdr_recorder.fleet.jobs.task import HASH_DIGITS, Outcome, RESULT_SCHEMA, State, Work
from fdr_recorder.fleet.jobs.work import without
from fdr_recorder.fleet.layout import FlightKey, RESULTS
from fdr_recorder.fleet.manifest import Manifest, manifest_hash, ManifestFile
from fdr_recorder.fleet.store import Store
from fdr_recorder.fleet.stored_manifests import read_manifest

MOST_DOCUMENT_BYTES: Final = 256 << 20


class FlightJob(ABC):
    """
    A job that looks at one flight.

    Attributes:
        name: What it is called.
        version: Of what it makes. Another one makes everything again.

    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    def options(self) -> dict[str, Any]:
        """Return what its results depend on besides the flight."""
        return {}

    def store(self, store: Store) -> Store:
        """Return where results go."""
        return store

    def documents(self) -> str:
        """Return the prefix of the documents that say what was found."""
        return f'{RESULTS}{self.name}/'

    @property
    def tag(self) -> str:
        """Return by which keys of results of this version and these options are known."""
        options = self.options()
        if not options:
            return f'v{self.version}'
        text = json.dumps(options, sort_keys=True).encode()
        return f'v{self.version}-{hashlib.sha256(text).hexdigest()[:8]}'

    def wants(self, file: ManifestFile) -> bool:
        """Tell whether a file of the flight is needed."""
        del file
        return True

    def do(self, work: Work) -> Outcome:
        """Make what is not there, and say what was found."""
        key, out = work.task.key, self.store(work.store)
        data = read_manifest(work.store, key)
        manifest, digest = Manifest.parse(data, key), manifest_hash(data)
        base = f'{self.documents()}{key.below}-{digest[:HASH_DIGITS]}-{self.tag}'
        if not work.task.is_again:
            found = _known(out, f'{base}.json', key, digest)
            if found is not None:
                return Outcome(key, State.THERE, self._in_short(found, base))
        files = [file for file in manifest.files if self.wants(file)]
        directory = work.scratch()
        flight = fetch(work.store, key, files, directory)
        found = without(directory, self.make(flight, work, out, base))
        document = {
            'schema': {'name': 'fdr_recorder/fleet_result', 'version': RESULT_SCHEMA},
            'job': self.name,
            'job_version': self.version,
            'options': self.options(),
            'vehicle': key.vehicle,
            'flight': key.flight,
            'manifest': digest,
            'found': found,
        }
        out.put(f'{base}.json', json.dumps(document, indent=1).encode() + b'\n')
        return Outcome(key, State.MADE, self._in_short(found, base))

    def _in_short(self, found: Mapping[str, Any], base: str) -> dict[str, Any]:
        return {**self.summary(found), 'document': f'{base}.json'}

    @abstractmethod
    def make(self, flight: Path, work: Work, out: Store, base: str) -> dict[str, Any]:
        """
        Make what the job makes of a flight, and return what was found, for `json.dumps`.

        Args:
            flight: The flight's directory, with the files that are wanted.
            work: What the job works with.
            out: Where results go.
            base: The key of the results, without a suffix.

        """

    @abstractmethod
    def summary(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return in short what was found; it is kept in memory for each flight."""


def _known(store: Store, key: str, flight: FlightKey, digest: str) -> dict[str, Any] | None:
    """Return what was found earlier; None if nothing was, or nobody can read it."""
    try:
        document = json.loads(store.get(key, MOST_DOCUMENT_BYTES))
        is_same = document['manifest'] == digest and document['vehicle'] == flight.vehicle
        found = document['found']
        return found if is_same and isinstance(found, dict) else None
    except (NotStoredError, ValueError, TypeError, KeyError, RecursionError):
        return None
