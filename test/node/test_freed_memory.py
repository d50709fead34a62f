# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Memory of large messages is used again instead of being given back and taken anew."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

from fdr_recorder.node.freed_memory import keep_freed_memory, KEPT_BYTES
import pytest

TOP = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, resource, sys, threading
from fdr_recorder.node.freed_memory import keep_freed_memory

if sys.argv[1] == 'kept' and not keep_freed_memory({}):
    print('unable')
    sys.exit()
size, count = int(sys.argv[2]), int(sys.argv[3])

def work():
    for _ in range(50):
        messages = [bytes(b'x') * size for _ in range(count)]
        del messages

thread = threading.Thread(target=work)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
with open('/proc/self/statm') as statm:
    print(int(statm.read().split()[1]) * os.sysconf('SC_PAGE_SIZE'))
"""


def run(mode: str, size: int, count: int) -> tuple[int, int]:
    """Return page faults of a program that takes and frees messages, and its memory at the end."""
    environment = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith('MALLOC_') and name != 'GLIBC_TUNABLES'
    }
    answer = subprocess.run(
        [sys.executable, '-c', PROGRAM, mode, str(size), str(count)],
        env={**environment, 'PYTHONPATH': str(TOP)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    if answer == 'unable\n':
        pytest.skip('this C library has no mallopt')
    faults, resident_bytes = map(int, answer.split())
    return faults, resident_bytes


@pytest.mark.parametrize(('size', 'count'), [(100_000, 30), (60_000, 50), (120_000, 20)])
def test_messages_of_a_rest_cause_page_faults_once(size: int, count: int) -> None:
    usual, _ = run('default', size, count)
    kept, _ = run('kept', size, count)
    assert kept < usual / 4


def test_what_is_kept_is_bounded() -> None:
    _, usual = run('default', 1_000_000, 30)
    _, kept = run('kept', 1_000_000, 30)
    assert kept < usual + KEPT_BYTES + 4_000_000


@pytest.mark.parametrize(
    'environment',
    [{'MALLOC_ARENA_MAX': '1'}, {'GLIBC_TUNABLES': 'glibc.malloc.mmap_threshold=65536'}],
)
def test_a_configured_allocator_is_left_alone(environment: dict[str, str]) -> None:
    assert not keep_freed_memory(environment)
