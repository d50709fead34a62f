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
The seals of one segment, and all else that is appended to it beside chunks.

A seal is the last thing that a sync forces to the disk, and the last before a segment's ending. Of
a segment that is not sealed, there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TYPE_CHECKING

from fdr_recorder.mcap import encode
from fdr_recorder.seal.seal import Digest, END, RECORD_NAME, SYNC
from fdr_recorder.storage.files import AppendFile
from fdr_recorder.storage.segment_index import SegmentIndex
from fdr_recorder.storage.unsynced_tail import Part, UnsyncedTail

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.flight_sealer import MadeSeal
    from fdr_recorder.seal.sealer import Sealer

_INDEX_BYTES: Final = len(encode.metadata_index(0, 0, RECORD_NAME))


class SegmentSeals:
    """
    Seals a segment, if its flight is sealed. Used by the writer's thread, but for `wipe`.

    Attributes:
        last: The last seal in the file, as an entry of SEALS; empty if there is none.

    """

    def __init__(
        self,
        file: AppendFile,
        contents: SegmentIndex,
        unsynced: UnsyncedTail,
        sealer: Sealer | None,
    ) -> None:
        """Take the segment's parts, and what makes seals; None if the flight is not sealed."""
        self._file = file
        self._contents = contents
        self._unsynced = unsynced
        self._sealer = sealer
        self._end = 0
        """Where the last seal ends."""
        self._entries: dict[int, bytes] = {}
        """The last seal on the disk and the newer ones, by number."""

    @property
    def last(self) -> bytes:
        """Return the last seal in the file, as an entry of SEALS; empty if there is none."""
        return self._entries[max(self._entries)] if self._entries else b''

    @property
    def cost(self) -> int:
        """Return what a seal adds to the file, its entry in the summary included."""
        size = self._sealer.record_bytes if self._sealer is not None else 0
        return size + _INDEX_BYTES if size else 0

    def digest(self) -> Digest | None:
        """Return the hash of what is in the file, which does not go on with it."""
        return self._file.digest.copy() if self._file.digest is not None else None

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the file, hexadecimal; empty if the flight is not sealed."""
        return self._file.digest.hexdigest() if self._file.digest is not None else ''

    def append_sync(self) -> None:
        """Append a seal of all that is in the file, if anything is new since the last."""
        if self._file.size != self._end:
            self._append([], self._make(SYNC, []), [])

    def append_end(
        self, announcements: list[bytes], ending: Callable[[int], list[bytes]]
    ) -> None:
        """Append what must precede it, the last seal, and the ending, given where it begins."""
        made = self._make(END, announcements)
        sealed = len(made.record) if made is not None else 0
        at = self._file.size + sum(map(len, announcements)) + sealed
        self._append(announcements, made, ending(at))

    def _make(self, kind: str, announcements: Sequence[bytes]) -> MadeSeal | None:
        """Make a seal of what is in the file and precedes it; the summary knows of it then."""
        digest = self.digest()
        if self._sealer is None or digest is None:
            return None
        for piece in announcements:
            digest.update(piece)
        offset = self._file.size + sum(map(len, announcements))
        made = self._sealer.seal(kind, offset, digest.hexdigest())
        if made is not None:
            index = encode.metadata_index(offset, len(made.record), RECORD_NAME)
            self._contents.add_metadata(index)
        return made

    def _append(
        self, announcements: list[bytes], made: MadeSeal | None, ending: Sequence[bytes]
    ) -> None:
        if not (announcements or made or ending):
            return
        part = Part(
            offset=self._file.size,
            announcements=announcements,
            head=made.record if made is not None else b'',
            tail=ending,
            seal=made.number if made is not None else None,
            digest=self.digest(),
        )
        try:
            self._file.append([*announcements, part.head, *ending])
        except OSError:
            self._contents.remove_metadata(int(made is not None))
            raise
        self._unsynced.add(part)
        if made is not None and self._sealer is not None:
            self._sealer.add(made)
            self._entries[made.number] = made.entry
        self._end = self._file.size

    def note_synced(self) -> None:
        """Note how far the last sync has come; not while one goes on."""
        synced = self._unsynced.synced_seals
        if synced and self._sealer is not None:
            self._sealer.confirm(synced)
            for number in [number for number in self._entries if number < synced[-1]]:
                del self._entries[number]

    def cut(self, parts: Sequence[Part]) -> None:
        """Cut the file back to where the first of these parts was, which have been taken out."""
        self._file.cut(parts[0].offset, parts[0].digest)
        self._end = 0
        seals = [part.seal for part in parts if part.seal is not None]
        self._contents.remove_metadata(len(seals))
        for number in seals:
            self._entries.pop(number, None)
        if self._sealer is not None:
            self._sealer.void(seals)

    def wipe(self) -> None:
        """Forget the key: the segment is closed. Any thread."""
        if self._sealer is not None:
            self._sealer.wipe()
