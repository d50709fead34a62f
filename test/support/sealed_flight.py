# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sealed flights, and a check of them that uses no code of ours: `mcap`, `hashlib`, OpenSSH."""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
from pathlib import Path
import socket
import subprocess

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Metadata
from ssh_tools import make_key, public_line


@dataclass
class FoundSeal:
    """A seal as it lies in a segment, or in SEALS."""

    text: str
    signature: str

    def __getitem__(self, name: str) -> str:
        """Return what a line says."""
        lines = dict(line.partition(':')[::2] for line in self.text.splitlines()[1:])
        return lines[name].strip()

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def signer(self, directory: Path) -> str:
        """Return the fingerprint of the key that `ssh-keygen` says has signed it."""
        path = directory / 'signature'
        path.write_text(self.signature)
        done = subprocess.run(
            ['ssh-keygen', '-Y', 'check-novalidate', '-n', 'fdr-seal', '-s', path],
            input=self.text.encode(), capture_output=True, check=False, timeout=60,
        )
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, said
        return next(word for word in said.split() if word.startswith('SHA256:'))


def fingerprint_of(key: str, directory: Path) -> str:
    """Return what `ssh-keygen` calls a public key."""
    path = directory / 'key.pub'
    path.write_text(f'{key}\n')
    said = subprocess.run(
        ['ssh-keygen', '-l', '-f', path], capture_output=True, check=True, timeout=60, text=True
    ).stdout
    return said.split()[1]


def vehicle_key(directory: Path) -> tuple[Path, Path]:
    """Make an identity key; return its file, and one of signers that allows it for this host."""
    key = make_key(directory / 'identity')
    allowed = directory / 'allowed_signers'
    options = 'cert-authority,namespaces="fdr-flight,fdr-seal"'
    allowed.write_text(f'{socket.gethostname()} {options} {public_line(key)}\n')
    return key, allowed


def seals_in(segment: Path) -> list[FoundSeal]:
    """Read the seals of a segment; each must stand for the bytes before it."""
    found, data = [], segment.read_bytes()
    with segment.open('rb') as file:
        file.seek(8)
        while True:
            start = file.tell()
            opcode, length = file.read(1)[0], int.from_bytes(file.read(8), 'little')
            if opcode == Opcode.DATA_END:
                return found
            if opcode == Opcode.METADATA:
                record = Metadata.read(ReadDataStream(file))
                if record.name == 'fdr_seal':
                    assert record.metadata.keys() == {'seal', 'signature'}
                    seal = FoundSeal(record.metadata['seal'], record.metadata['signature'])
                    assert int(seal['offset']) == start
                    assert hashlib.sha256(data[:start]).hexdigest() == seal['sha256']
                    found.append(seal)
            file.seek(start + 9 + length)


def entries_of(path: Path) -> list[FoundSeal]:
    """Read SEALS."""
    end = '-----END SSH SIGNATURE-----\n'
    found = []
    for part in path.read_text().split(f'{end}\n')[:-1]:
        text, begin, armor = part.partition('-----BEGIN SSH SIGNATURE-----')
        found.append(FoundSeal(text, f'{begin}{armor}{end}'))
    return found


def check_sums(flight: Path, allowed: Path, *, succeeds: bool = True) -> str:
    """Check a flight by hand, as a user without our tools would; return what that says."""
    script = (
        'ssh-keygen -Y verify -f "$1" -I $(hostname) -n fdr-flight -s SHA256SUMS.sig < SHA256SUMS '
        '&& sha256sum -c SHA256SUMS'
    )
    done = subprocess.run(
        ['bash', '-c', script, 'sh', allowed],
        cwd=flight, capture_output=True, text=True, check=False, timeout=60,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr
