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
Copies whole sealed pieces of a flight, with all that is needed to check them.

A proof has the segments that the wanted messages are in, byte for byte, and the files beside them.
It says which segments are left out, if any is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import RawIOBase
import os
from pathlib import Path
from typing import Any, Final

from fdr_recorder.errors import ExportError
from fdr_recorder.flights.directory import kept_files, segment_files
from fdr_recorder.flights.list_recording import list_recording
from fdr_recorder.flights.output import new_output
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.reader import Advance, read_segments
from fdr_recorder.flights.recovery.last_segment import read_last_segment
from fdr_recorder.flights.sealed import has_sidecars, is_opening
from fdr_recorder.flights.status import Ended
from fdr_recorder.seal.sidecars import SEALS_NAME, SUMS_NAME, SUMS_SIGNATURE_NAME
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.files import DIRECTORY_MODE, FILE_MODE, sync_directory, temporary_name

PROOF_NAME: Final = 'PROOF'
_FIRST_LINE: Final = 'fdr-proof-v1'
_TOGETHER: Final = (bag_metadata.FILE_NAME, SUMS_NAME, SUMS_SIGNATURE_NAME)
"""A kill in between leaves some of these under the names of their temporaries."""
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Proof:
    """
    The result of an export of sealed pieces.

    Attributes:
        path: The directory.
        bytes: Size of the segments in it.
        segments: Names of the segments in it.
        left_out: Names of the segments that are left out.
        damage: What could not be read when it was looked for messages, in words; it is copied all
            the same.

    """

    path: Path
    bytes: int
    segments: tuple[str, ...]
    left_out: tuple[str, ...]
    damage: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {**asdict(self), 'path': str(self.path), 'format': 'proof'}


def export_proof(
    flight: Query | Path | str, out: Path | str, *, advance: Advance = lambda _bytes: None
) -> Proof:
    """
    Copy the sealed segments that have some of the wanted messages, byte for byte.

    The last messages of latched topics are at the beginning of each segment, so none is copied for
    them. The output has another name until it is complete.

    Args:
        flight: The flight's directory for all of it; a query for a part.
        out: A directory that must not exist.
        advance: Called with the number of bytes that are done since the last call.

    Raises:
        ExportError: The flight is not sealed, or is being recorded; `out` exists, its directory
            does not, or there is no message that is wanted.
        OSError: A file cannot be read or written.

    """
    query = flight if isinstance(flight, Query) else Query(Path(flight))
    out = Path(out)
    _check(query.flight)
    wanted = _wanted(query)
    segments = segment_files(query.flight)
    left_out = [item.path for item in segments if item.path not in wanted]
    if not wanted:
        raise ExportError(query.flight, query.why_nothing())
    with new_output(out) as built:
        built.mkdir(DIRECTORY_MODE)
        for path in left_out:
            advance(path.stat().st_size)
        for path in (*sorted(wanted), *_beside(query.flight)):
            _copy(path, built / path.name, advance)
        if left_out:
            names = ''.join(f'{path.name}\n' for path in left_out)
            lines = f'{_FIRST_LINE}\nflight: {list_recording(query.flight).flight_id}\n{names}'
            _write(built / PROOF_NAME, iter([lines.encode()]))
        sync_directory(built)
        size = sum((built / path.name).stat().st_size for path in wanted)
    return Proof(
        out,
        size,
        tuple(sorted(path.name for path in wanted)),
        tuple(path.name for path in left_out),
        tuple(query.damage),
    )


def _check(flight: Path) -> None:
    segments = segment_files(flight) if flight.is_dir() else []
    last = read_last_segment(segments[-1]) if segments else None
    if not segments or not (has_sidecars(flight) or (last and is_opening(last.header))):
        raise ExportError(flight, 'is not sealed: there is nothing to prove it with')
    if list_recording(flight).status.ended is Ended.OPEN:
        raise ExportError(flight, 'is being recorded; export it once it is closed')


def _wanted(query: Query) -> set[Path]:
    """Return the segments that have wanted messages."""
    return {
        reader.path for reader in read_segments(query.flight, query.damage) if query.is_in(reader)
    }


def _beside(flight: Path) -> Iterator[Path]:
    """Yield what lies beside the segments, and belongs to the proof."""
    names = [SEALS_NAME, *_TOGETHER, *map(temporary_name, _TOGETHER)]
    yield from (flight / name for name in names if (flight / name).is_file())
    yield from sorted(kept_files(flight))


def _copy(path: Path, target: Path, advance: Advance) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(fd, 'rb', buffering=0) as source:

        def blocks() -> Iterator[bytes]:
            while block := _read(source, path):
                yield block
                advance(len(block))

        _write(target, blocks())


def _read(source: RawIOBase, path: Path) -> bytes:
    try:
        return source.read(_BLOCK_BYTES) or b''
    except OSError as error:  # it is not the output that is at fault
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write(target: Path, blocks: Iterator[bytes]) -> None:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with open(fd, 'wb', buffering=0) as file:
        for block in blocks:
            left = memoryview(block)
            while left:
                left = left[file.write(left):]
        os.fsync(fd)
