# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""A process that certifies with an identity key, and forgets it; the file is its argument."""

from __future__ import annotations

import sys

from fdr_recorder.seal.certificates import issue
from fdr_recorder.seal.identity import load_identity
from fdr_recorder.seal.keys import SessionKey


def _say(text: str) -> None:
    print(text, flush=True)
    sys.stdin.readline()


def main() -> None:
    """Say `loaded`, then `closed`, each until a line comes in."""
    with load_identity(sys.argv[1]) as identity:
        for key_id in ('fdr-seal f', 'fdr-flight f'):
            issue(identity, SessionKey.generate().public, key_id=key_id, principals=('a',))
        _say('loaded')
    _say('closed')


if __name__ == '__main__':
    main()
