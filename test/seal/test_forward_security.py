# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Whoever reads the recorder's memory in flight cannot change what was sealed before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import re
import shutil
import subprocess
import sys

from fdr_recorder import read_info
from fdr_recorder.flights.status import Authenticity
from fdr_recorder.flights.verify import verify
from fdr_recorder.seal.certificates import parse
from fdr_recorder.seal.keys import public_blob, SessionKey
from fdr_recorder.seal.opening import Opening
from fdr_recorder.seal.openssh import parse_key
from fdr_recorder.seal.primitives import Ed25519PrivateKey
from fdr_recorder.seal.seal import NAMESPACE, Seal
from fdr_recorder.seal.sshsig import sign
from memory_scan import possible_seeds
import pytest
from sealed_ground import allow, make_key
from ssh_tools import needs_openssh

pytestmark = needs_openssh

PROGRAM = Path(__file__).resolve().parents[1] / 'support' / 'sealing_program.py'
SEGMENTS = 4
_TEXT = re.compile(rb'fdr-seal-v1\n(?:[a-z0-9_]+:.*\n)+')
_ARMOR = re.compile(rb'-----BEGIN SSH SIGNATURE-----\n[^-]+-----END SSH SIGNATURE-----\n')


@dataclass
class Theft:
    """
    The files and the memory of a recorder, copied in flight.

    Attributes:
        flight: A copy of the flight.
        allowed: The file of allowed signers of those who check it.
        stolen: Keys that were found in memory, by their public part.
        segment_keys: The public key of each segment, and of the one that is begun next.
        sums_key: The public key that signs SHA256SUMS.

    """

    flight: Path
    allowed: Path
    stolen: dict[bytes, SessionKey]
    segment_keys: list[bytes]
    sums_key: bytes


def segment(flight: Path, index: int) -> Path:
    return flight / f'segment_{index:06}.mcap'


@pytest.fixture(scope='module')
def theft(tmp_path_factory: pytest.TempPathFactory) -> Theft:
    """Record a flight in another process; copy its files, and look for keys in its memory."""
    directory = tmp_path_factory.mktemp('theft')
    key, root = make_key(directory / 'identity'), directory / 'flights'
    root.mkdir()
    command = [sys.executable, str(PROGRAM), str(root), str(key), str(SEGMENTS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == 'sealed\n'
            flight = Path(shutil.copytree(root / 'x', directory / 'copy' / 'x'))
            try:
                seeds = possible_seeds(process.pid)
            except PermissionError:
                pytest.skip('reading the memory of another process is forbidden here')
        finally:
            process.stdin.close()
    header = read_info(flight).header
    assert header is not None
    opening = Opening.parse(header.signing_key_rotation_event)
    last_texts = [
        _TEXT.findall(segment(flight, index).read_bytes())[-1] for index in range(SEGMENTS)
    ]
    privates = map(Ed25519PrivateKey.from_private_bytes, seeds)
    return Theft(
        flight,
        allow(directory / 'allowed_signers', key),
        {public_blob(private): SessionKey(private, public_blob(private)) for private in privates},
        [
            parse(parse_key(opening.first_key)).public,
            *(parse_key(Seal.parse(text.decode()).next_key) for text in last_texts),
        ],
        parse(parse_key(opening.sums_key)).public,
    )


def forge(flight: Path, index: int, key: SessionKey) -> None:
    """Have the last seal of a segment say another year, with a signature by a key."""
    data = segment(flight, index).read_bytes()
    text, armor = [*_TEXT.finditer(data)][-1], [*_ARMOR.finditer(data)][-1]
    other = re.sub(rb'utc: \d{4}', b'utc: 1999', text[0])
    assert len(other) == len(text[0])
    assert other != text[0]
    signature = sign(key, NAMESPACE, other.decode().encode()).encode()
    for path in (segment(flight, index), flight / 'SEALS'):
        was = path.read_bytes()
        path.write_bytes(was.replace(text[0], other).replace(armor[0], signature))
    assert segment(flight, index).read_bytes() != data


def test_only_keys_that_are_still_needed_are_in_memory(theft: Theft) -> None:
    public = {*theft.stolen} & {*theft.segment_keys, theft.sums_key}
    *earlier, current, following = theft.segment_keys
    assert len(earlier) == SEGMENTS - 1
    assert public == {current, following, theft.sums_key}  # so they are found if they are there


def test_with_them_no_earlier_segment_can_be_forged(theft: Theft, tmp_path: Path) -> None:
    """But the one that is open can: what is recorded from then on proves nothing."""
    assert verify(theft.flight, keys=theft.allowed).authentication.state is (
        Authenticity.AUTHENTIC_UP_TO
    )
    *_, current, following = theft.segment_keys
    for index in range(SEGMENTS):
        for number, public in enumerate((current, following, theft.sums_key)):
            copy = Path(shutil.copytree(theft.flight, tmp_path / f'{index}_{number}' / 'x'))
            forge(copy, index, theft.stolen[public])
            found = verify(copy, keys=theft.allowed).authentication
            is_forged = index == SEGMENTS - 1 and public == current
            assert found.utc.startswith('1999') == is_forged
            assert (found.state is Authenticity.NOT_AUTHENTIC) != is_forged, found.sentence
