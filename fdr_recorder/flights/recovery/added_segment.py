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
What recovery adds to a sealed flight: a segment of its own, and, with a key, signatures.

No byte that is sealed may change, so the footer goes into a segment of its own. It gets its name
when it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
import logging
import os
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.config import SealConfig
from fdr_recorder.errors import FdrError
from fdr_recorder.flights.directory import kept_files, numbers_there
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.flights.sealed import is_opening
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import FlightHeader, RECORD_SCHEMA_VERSION
from fdr_recorder.record.payload import Payload
from fdr_recorder.record.segment_names import segment_name
from fdr_recorder.seal.opening import principal_of, SUMS_NAMESPACE
from fdr_recorder.seal.openssh import fingerprint
from fdr_recorder.seal.seal import hash_of
from fdr_recorder.seal.sidecars import (
    last_seal,
    seal_of_entries,
    SEALS_NAME,
    sha256_of,
    sums_line,
    SUMS_NAME,
    SUMS_SIGNATURE_NAME,
)
from fdr_recorder.storage.counters import Ledger
from fdr_recorder.storage.files import (
    close_fd,
    rename_temporary,
    sync_directory,
    temporary_name,
)
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.segment import Segment
from fdr_recorder.version import __version__

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.identity import Identity
    from fdr_recorder.seal.recovery_sealer import RecoverySealer

logger = logging.getLogger(__name__)

Identify = Callable[[], 'Identity | None']
"""Loads the key of whoever recovers; None for nobody. It is closed after use."""

_UNLIMITED: Final = 1 << 62
_BLOCK_BYTES: Final = 1 << 20


def nobody() -> None:
    """Return no key: nothing is signed."""


def identity_of(key_file: Path | str, passphrase_file: Path | str = '') -> Identify:
    """
    Return what loads a key from a file, which is tried at once; without a file, nobody's.

    Raises:
        SealError: It cannot be used.
        ExtraMissingError: A library that it needs is not installed.

    """
    identify = partial(_load, key_file, passphrase_file)
    if (identity := identify()) is not None:
        identity.close()
    return identify


def vehicle_identity(seal: SealConfig) -> Identify:
    """Return what loads the key of the vehicle when it is needed; nobody's if that fails."""

    def load() -> Identity | None:
        try:
            return _load(seal.key_file, seal.passphrase_file)
        except FdrError as error:
            logger.warning('what recovery adds to a sealed flight is not signed: %s', error)
            return None

    return load


def _load(key_file: Path | str, passphrase_file: Path | str) -> Identity | None:
    if not str(key_file):
        return None
    from fdr_recorder.seal.identity import load_identity, read_passphrase  # noqa: PLC0415

    return load_identity(key_file, read_passphrase(passphrase_file))


def is_sealed(flight: Path, segments: Iterable[SegmentContents]) -> bool:
    """Tell whether the recorder has sealed a flight, by the segments that have been read."""
    return os.path.lexists(flight / SEALS_NAME) or any(
        item.has_seals or is_opening(item.header) for item in segments
    )


def would_change_sealed(contents: SegmentContents) -> bool:
    """Tell whether to complete a torn segment changes a byte up to the end of its last seal."""
    found = last_seal(contents.path)
    if found is None:
        return False
    return contents.data_end < found.end or any(at < found.end for at, _ in contents.patches)


def next_index(flight: Path) -> int:
    """Return the number of the segment that is added."""
    return max(numbers_there(flight)) + 1


def begin_sealing(
    identity: Identity, flight: Path, segments: Iterable[SegmentContents], header: FlightHeader
) -> RecoverySealer:
    """
    Return what signs the segment that is added, and SHA256SUMS.

    Raises:
        SealError: The key cannot sign.
        OSError: A file cannot be read.

    """
    from fdr_recorder.seal.recovery_sealer import RecoverySealer  # noqa: PLC0415 - needs an extra

    placed = (last_seal(item.path) for item in segments)
    seals = [found.seal for found in placed if found is not None]
    entry = seal_of_entries(flight)
    seals += [entry] if entry is not None else []
    return RecoverySealer(
        identity,
        flight=header.flight_id,
        principal=principal_of(header.vehicle_id) or os.uname().nodename,
        flight_number=header.flight_number,
        segment=next_index(flight),
        before=max(seals, key=lambda seal: seal.number, default=None),
        opening_hash=hash_of(header.signing_key_rotation_event),
    )


class AddedSegment:
    """The segment that is added, while it is written under the name of a temporary file."""

    def __init__(self, segment: Segment, contents: SegmentContents, path: Path) -> None:
        self.segment = segment
        self.contents = contents
        self._path = path

    def finish(self) -> SegmentContents:
        """Write what ends it, force it to the disk, and give it its name; return what it has."""
        index, draft = self.segment.index, self.contents.path
        self.segment.finish()
        draft.rename(self._path)
        sync_directory(self._path.parent)
        return read_contents(self._path, index)


@contextmanager
def added_segment(
    flight: Path,
    header: FlightHeader,
    time_ns: int,
    *,
    bag_version: int,
    sealer: RecoverySealer | None,
) -> Iterator[AddedSegment]:
    """
    Begin the segment that is added, with the flight's header; nothing is left unless it finishes.

    Raises:
        OSError: It cannot be written.

    """
    index = next_index(flight)
    path = flight / segment_name(index)
    draft = path.with_name(temporary_name(path.name))
    draft.unlink(missing_ok=True)  # of a recovery that was interrupted
    fd = os.open(flight, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        segment = Segment.create(
            draft,
            index=index,
            max_bytes=_UNLIMITED,
            chunk_size_bytes=1,
            compression='none',
            metadata={
                'flight_id': header.flight_id,
                'segment_index': str(index),
                'record_schema_version': RECORD_SCHEMA_VERSION,
                'software_version': __version__,
            },
            dir_fd=fd,
            bag_version=bag_version,
            sealer=sealer,
        )
        with closing(segment):
            record = (time_ns, time_ns, 0, encode(header), 0)
            segment.append(own_channel(FlightHeader), [record], force=True)
            segment.flush()
            yield AddedSegment(segment, read_contents(draft, index), path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        close_fd(fd)


def own_channel(
    payload_type: type[Payload], contents: SegmentContents | None = None
) -> Channel:
    """Return the channel for one kind of own records: the segment's, if it has one."""
    channel = Ledger().own_account(payload_type).channel
    for known in contents.found.counts if contents is not None else ():
        if known.topic == channel.topic and known.schema == channel.schema:
            return known
    return channel


def sums_of(flight: Path, segments: Iterable[SegmentContents]) -> list[bytes]:
    """
    Return the lines of SHA256SUMS for the segments, and for what recovery has kept.

    Raises:
        OSError: A file cannot be read.

    """
    paths = [*(item.path for item in segments), *sorted(kept_files(flight))]
    return [sums_line(sha256_of(_blocks(path)), path.name) for path in paths]


def _blocks(path: Path) -> Iterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(fd, 'rb', buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def commit_signed(
    flight: Path, directory: FlightDirectory, text: list[bytes], sums: list[bytes]
) -> None:
    """Renew `metadata.yaml` together with SHA256SUMS and its signature; as `commit`."""
    directory.fd = os.open(flight, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _finish_renewal(flight, directory.fd)
        directory.replace_metadata(text, sums)
    finally:
        directory.close()


def _finish_renewal(flight: Path, dir_fd: int) -> None:
    """Give those of the two their names that were renewed, and wait for them since a kill."""
    from fdr_recorder.flights.verify.sidecars import read_sums  # noqa: PLC0415 - seldom needed
    from fdr_recorder.seal import sshsig  # noqa: PLC0415 - needs an extra

    def signer_of(text: bytes, signature: str) -> str:
        return fingerprint(sshsig.verify(signature, SUMS_NAMESPACE, text))

    found = read_sums(flight, signer_of)
    if not found.fault:
        for name in {SUMS_NAME, SUMS_SIGNATURE_NAME}.difference(found.names):
            rename_temporary(dir_fd, name)
    os.fsync(dir_fd)
