# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Seals in the campaigns about faults: whatever happens to a flight, it must not look forged."""

from __future__ import annotations

from dataclasses import dataclass
import importlib.util
from pathlib import Path
import random
import shutil

from fdr_recorder.config import SealConfig
from fdr_recorder.flights.status import Authenticity
from fdr_recorder.flights.verify import verify
from sealed_ground import allow, make_key

_CAN_SEAL = shutil.which('ssh-keygen') and importlib.util.find_spec('cryptography')
_HONEST = (Authenticity.AUTHENTIC, Authenticity.AUTHENTIC_UP_TO)


@dataclass(frozen=True)
class Seals:
    """
    Whether the flights of a round are sealed, and by which key.

    Attributes:
        key_file: File of the identity key; empty if they are not sealed.

    """

    key_file: str = ''

    @classmethod
    def draw(cls, rng: random.Random, directory: Path) -> Seals:
        """Seal the flights of half of the rounds, if that is possible here."""
        if rng.random() < 0.5 or not _CAN_SEAL:
            return cls()
        key = make_key(directory / 'identity')
        allow(directory / 'allowed_signers', key, principal='*')
        return cls(str(key))

    @property
    def config(self) -> SealConfig:
        """Return the writer's options."""
        return SealConfig(key_file=self.key_file)

    def of_recovery(self, rng: random.Random) -> str:
        """Return the key with which to recover: the same, or none."""
        return rng.choice(['', self.key_file])

    def check(self, flight: Path) -> Authenticity:
        """Assert that a flight, which nobody has changed, is not taken for changed."""
        if not self.key_file or not any(flight.glob('*.mcap')):
            return Authenticity.NOT_SEALED
        keys = Path(self.key_file).with_name('allowed_signers')
        verification = verify(flight, keys=keys)
        found = verification.authentication
        is_honest = found.state in _HONEST
        if found.state is Authenticity.NOT_SEALED:
            is_honest |= not verification.records or 'nothing was sealed' in found.reason
        assert is_honest, f'taken for changed: {verification}'
        return found.state
