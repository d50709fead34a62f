# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""A session key is in memory while it is needed, and not after that."""

from __future__ import annotations

import hashlib
from pathlib import Path
import subprocess
import sys

import cryptography
from fdr_recorder.seal.keys import check_signature, SessionKey
from memory_scan import copies_in
import pytest

PROGRAM = Path(__file__).resolve().parents[1] / 'support' / 'session_key_program.py'


@pytest.mark.skipif(
    int(cryptography.__version__.partition('.')[0]) < 50,
    reason='private_bytes_raw of an older cryptography, by which this test looks, leaves a copy',
)
def test_a_dropped_key_is_not_in_memory_any_more() -> None:
    with subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            seed = bytes(value ^ 0xA5 for value in bytes.fromhex(process.stdout.readline()))
            expanded = hashlib.sha512(seed).digest()  # with which Ed25519 signs
            clamped = bytes([expanded[0] & 248, *expanded[1:31], expanded[31] & 63 | 64])
            try:
                alive = copies_in(process.pid, seed)
            except PermissionError:
                pytest.skip('reading the memory of another process is forbidden here')
            process.stdin.write('\n')
            process.stdin.flush()
            assert process.stdout.readline() == 'dropped\n'
            assert alive >= 1  # else this test finds nothing
            for secret in (seed, expanded[:32], clamped, expanded[32:]):
                assert copies_in(process.pid, secret) == 0
        finally:
            process.stdin.close()


def test_every_key_is_another_and_signs() -> None:
    keys = [SessionKey.generate() for _ in range(3)]
    assert len({key.public for key in keys}) == 3
    for key in keys:
        check_signature(key.public, key.sign(b'data'), b'data')
        assert key.with_certificate(b'c').public == b'c'
