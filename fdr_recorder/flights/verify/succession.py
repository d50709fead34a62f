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
Checks that the sealed flights of a root follow each other: none is missing, none was cut back.

Each flight names the sealed one before it, and the newest seal of that. A flight that was cut back
to an older state looks like one that was killed then; only the flight behind it tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fdr_recorder.flights.prune_log import removed_flights
from fdr_recorder.flights.status import Authenticity, Verdict
from fdr_recorder.flights.verify.authenticity import shown
from fdr_recorder.flights.verify.chain import Place
from fdr_recorder.flights.verify.result import Verification
from fdr_recorder.flights.verify.trust import Trust
from fdr_recorder.storage.removal_log import NAMESPACE

_PROVED = (Authenticity.AUTHENTIC, Authenticity.AUTHENTIC_UP_TO)


class Finding(NamedTuple):
    """What is wrong between two flights of a root: which is concerned, why, and how bad it is."""

    flight: Path
    what: str
    verdict: Verdict

    def __str__(self) -> str:
        """Say it in words."""
        return f'{self.flight}: {self.what}'


def check_succession(
    results: Sequence[Verification], root: Path, trust: Trust
) -> list[Finding]:
    """
    Compare what each flight of a root says of the one before it with what is there.

    A flight that does not end as the one after it says is not authentic, and its
    `authentication` says so then. One that is missing may have stayed on the drone.

    Args:
        results: All flights of the root, checked with the keys that are trusted.
        root: Their root, whose log says which flights were removed.
        trust: The keys that may sign such a log.

    """
    proved = [result for result in results if result.authentication.state in _PROVED]
    by_id: dict[str, list[Verification]] = {}
    for result in results:
        by_id.setdefault(result.flight_id, []).append(result)
    removed = removed_flights(root)
    in_flight = {item for result in proved for item in result.authentication.removed_flights}
    findings = []
    for result in proved:
        said = result.authentication
        if not said.previous_flight:
            continue
        before = by_id.get(said.previous_flight, [])
        if not before:
            name = said.previous_flight
            doubt = _doubt_removal(*removed.get(name, ('', '')), trust)
            if doubt and (name, said.previous_seal) not in in_flight:
                what = f'the flight before it, {shown(name)}, is missing, and {doubt}'
                findings.append(Finding(result.path, what, Verdict.PARTLY_AUTHENTIC))
        whole = [copy for copy in before if said.previous_seal in copy.authentication.hashes]
        for copy in before:
            if whole and copy not in whole:
                what = f'it is an older copy of {whole[0].path.name}'
                findings.append(Finding(copy.path, what, Verdict.PARTLY_AUTHENTIC))
            elif copy not in whole:
                what = (
                    f'it does not have the seal that the flight after it names '
                    f'({shown(result.flight_id)}): it was cut back, or replaced'
                )
                findings.append(_add(copy, what))
    return findings


def _doubt_removal(entry: str, signature: str, trust: Trust) -> str:
    """Return why it is not proved that a flight was removed in order; empty if it is."""
    if not entry:
        return 'no log says that it was removed'
    if not signature:
        return 'the log that says it was removed is not signed'
    if not trust.has_signed(entry, signature, NAMESPACE):
        return 'no key in the file has signed that it was removed'
    return ''


def _add(result: Verification, what: str) -> Finding:
    found = result.authentication
    found.faults.append(Place(result.path.name, 0, 0, what))
    found.state = Authenticity.NOT_AUTHENTIC
    return Finding(result.path, what, Verdict.NOT_AUTHENTIC)
