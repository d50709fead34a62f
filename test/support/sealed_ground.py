# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sealed flights, keys for them, and what can be done to their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
import shutil
import subprocess
import time

from fdr_recorder import FdrWriterConfig, FileFdrWriter, FlightHeader
from fdr_recorder.config import SealConfig
from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.verify import Verification
from fdr_recorder.mcap.record_file import RawRecord
from fdr_recorder.storage.cap import CapacityCapPolicy
from producers import make_client, send
from waiting import wait_until

VEHICLE = 'drone-7'
QUICK = {
    'segment_size_bytes': 32 * 1024,
    'chunk_size_bytes': 2048,
    'flush_interval_s': 0.02,
    'sync_interval_s': 0.02,
    'min_free_bytes': 0,
    'reserve_bytes': 0,
}


def make_key(path: Path, kind: str = 'ed25519') -> Path:
    """Return the file of a new identity key, as ssh-keygen makes it."""
    command = ['ssh-keygen', '-q', '-t', kind, '-N', '', '-C', VEHICLE, '-f', str(path)]
    subprocess.run(command, check=True)
    return path


def allow(path: Path, *keys: Path, principal: str = VEHICLE) -> Path:
    """Write a file of allowed signers with these keys."""
    options = 'cert-authority,namespaces="fdr-flight,fdr-seal"'
    lines = [
        ' '.join((principal, options, *key.with_suffix('.pub').read_text().split()[:2]))
        for key in keys
    ]
    path.write_text('\n'.join(lines) + '\n')
    return path


def record_sealed(
    root: Path,
    key: Path | None,
    flight_id: str = 'x',
    *,
    close: bool = True,
    batches: Sequence[int] = (80, 60, 5, 5, 5),
    cap_bytes: int = 1 << 40,
    vehicle: str = VEHICLE,
    **options: object,
) -> Path:
    """
    Record a flight of some segments: so many messages, a sync, so many more; and so on.

    One that is not closed is as a recorder leaves it that is killed right after the last sync.
    """
    seal = SealConfig(key_file=str(key) if key else '')
    config = FdrWriterConfig(**{**QUICK, 'seal': seal, **options})  # type: ignore[arg-type]
    writer = FileFdrWriter(root, config)
    writer.on_rotation = CapacityCapPolicy(cap_bytes, writer, writer.alerts).on_rotation
    writer.start()
    try:
        client = make_client('/blob', '0a')
        writer.register(client)
        writer.open_flight(FlightHeader(flight_id=flight_id, vehicle_id=vehicle))
        first = 0
        for count in batches:
            send(client, range(first, first + count), 500)
            first += count
            time.sleep(0.1)  # a sync, which nothing else tells of
        if close:
            writer.close_flight(flight_id)
        else:
            wait_until(lambda: is_copied(root / flight_id, root / '.killed'), 'a copy')
    finally:
        writer.stop()
    if not close:
        shutil.rmtree(root / flight_id)
        (root / '.killed').rename(root / flight_id)
    return root / flight_id


def is_copied(flight: Path, copy: Path) -> bool:
    """Copy a flight that is being recorded; return False if a file was replaced meanwhile."""
    shutil.rmtree(copy, ignore_errors=True)
    try:
        shutil.copytree(flight, copy)
    except shutil.Error:
        return False
    return True


def records_of(path: Path) -> list[RawRecord]:
    """Return all whole records of the data section of a segment, chunks included."""
    found = []
    with open_segment(path) as reader, suppress(SegmentError):
        for part in reader.parts():
            record = part if isinstance(part, RawRecord) else getattr(part, 'record', None)
            assert record is not None
            found.append(record)
    return found


def change(path: Path, edit: Callable[[bytearray], object]) -> None:
    """Change the bytes of a file."""
    data = bytearray(path.read_bytes())
    edit(data)
    path.write_bytes(data)


def flip(path: Path, offset: int) -> None:
    """Turn one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def names_place(verification: Verification, file: str, offset: int) -> bool:
    """Tell whether a finding is about this byte of this file, or about the file as a whole."""
    return any(
        place.file == file and (place.start == place.end or place.start <= offset <= place.end)
        for place in verification.authentication.faults
    )


def sizes(flight: Path) -> dict[str, int]:
    """Return the size of each segment by name."""
    return {item.path.name: item.path.stat().st_size for item in segment_files(flight)}
