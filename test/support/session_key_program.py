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
A process that makes a session key, signs with it, and drops it when it is told to.

It prints the seed as hexadecimal text, disguised, so that no copy of it is made here; what
`private_bytes_raw` returns is overwritten.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading

from fdr_recorder.seal.keys import SessionKey
from fdr_recorder.seal.sshsig import sign

_BYTES_HEADER = bytes.__basicsize__ - 1


def _say(text: str) -> None:
    print(text, flush=True)
    sys.stdin.readline()


def _sign_often(key: SessionKey) -> None:
    for number in range(200):
        sign(key, 'fdr-seal', b'x' * number)


def main() -> None:
    """Say `SEED`, then `dropped`, each until a line comes in."""
    key = SessionKey.generate()
    certified = key.with_certificate(key.public)
    threads = [threading.Thread(target=_sign_often, args=[key]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sign(certified, 'fdr-seal', b'')
    seed = key._private.private_bytes_raw()
    shown = ''.join(f'{value ^ 0xA5:02x}' for value in seed)
    ctypes.memset(id(seed) + _BYTES_HEADER, 0, len(seed))
    _say(shown)
    del key, certified, threads[:], seed
    gc.collect()
    _say('dropped')


if __name__ == '__main__':
    main()
