# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a segment needs of whoever makes its seals: the recorder, or a recovery."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TYPE_CHECKING

from fdr_recorder.seal.seal import Digest

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.flight_sealer import MadeSeal


class Sealer(Protocol):
    """Seals one segment. Used by the thread that writes it; `wipe` by any."""

    @property
    def record_bytes(self) -> int:
        """Size of the record of a seal; 0 if none can be made."""

    def digest(self) -> Digest:
        """Return a new SHA-256, for the bytes of the segment."""

    def seal(self, kind: str, offset: int, sha256: str) -> MadeSeal | None:
        """Make the next seal of the flight; None if none can be made."""

    def add(self, made: MadeSeal) -> None:
        """Note that a seal is in the file."""

    def confirm(self, numbers: Iterable[int]) -> None:
        """Note that seals are on the disk."""

    def void(self, numbers: Iterable[int]) -> None:
        """Note that seals are no longer in the file."""

    def wipe(self) -> None:
        """Forget the key: the segment is closed. Idempotent."""
