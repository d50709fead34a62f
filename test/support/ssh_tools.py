# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The real `ssh-keygen`: makes keys and signatures, and judges ours."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess
from typing import Final

import pytest

needs_openssh = pytest.mark.skipif(
    shutil.which('ssh-keygen') is None, reason='there is no ssh-keygen'
)

KEY_TYPES: Final = ('ed25519', 'ecdsa-256', 'ecdsa-384', 'ecdsa-521', 'rsa-2048')


def keygen(*arguments: object, stdin: bytes = b'', succeeds: bool = True) -> str:
    """Run `ssh-keygen`; return what it says, on stdout and stderr."""
    command = ['ssh-keygen', *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)
    said = (done.stdout + done.stderr).decode(errors='replace')
    assert (done.returncode == 0) == succeeds, said
    return said


def make_key(path: Path, key_type: str = 'ed25519', passphrase: str = '', *more: str) -> Path:
    """Make a private key file, and `PATH.pub` beside it."""
    name, _, bits = key_type.partition('-')
    size = ('-b', bits) if bits else ()
    keygen('-q', '-t', name, *size, '-N', passphrase, '-C', 'a comment', *more, '-f', path)
    return path


def public_line(path: Path) -> str:
    """Return type and base64 of a key's `.pub` file."""
    return ' '.join(Path(f'{path}.pub').read_text(encoding='utf-8').split()[:2])


def allow(directory: Path, line: str) -> Path:
    """Make a file of allowed signers of one line."""
    path = directory / 'allowed_signers'
    path.write_text(f'{line}\n', encoding='utf-8')
    return path


def is_accepted(
    directory: Path, armored: str, namespace: str, message: bytes, line: str, who: str = 'drone-7'
) -> bool:
    """Return whether `ssh-keygen -Y verify` accepts a signature, with one allowed signer."""
    signature = directory / 'signature.sig'
    signature.write_text(armored, encoding='utf-8')
    command = [
        'ssh-keygen', '-Y', 'verify', '-f', str(allow(directory, line)), '-I', who,
        '-n', namespace, '-s', str(signature),
    ]
    done = subprocess.run(command, input=message, capture_output=True, check=False, timeout=60)
    return done.returncode == 0
