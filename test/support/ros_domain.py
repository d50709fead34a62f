# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A ROS domain for each test, which no other test on this machine has at the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import itertools
import os
from pathlib import Path
import re
import socket
import sys

import pytest

_DOMAINS = range(1, 101)  # above 101 the ports overlap those that Linux gives to clients
_lent = itertools.count()  # the next test gets another one: what was killed lingers in the graph


@contextmanager
def own_domain() -> Iterator[int]:
    """
    Lend a ROS domain that no other test on this machine has at the time.

    A socket is bound to a name for it: that is exclusive within the network namespace, which is as
    far as ROS reaches here, and ends with the process. A domain in which a process was left, which
    would answer in the place of the test's own, is not lent.
    """
    taken = _domains_of_processes()
    for _ in _DOMAINS:
        domain_id = _DOMAINS[(os.getpid() + next(_lent)) % len(_DOMAINS)]
        if domain_id in taken:
            continue
        with socket.socket(socket.AF_UNIX) as name:
            try:
                name.bind(f'\0fdr_recorder_test_domain_{domain_id}')
            except OSError:
                continue
            yield domain_id
            return
    pytest.fail('all ROS domains are in use')


def _domains_of_processes() -> set[int]:
    """Return the domains that other processes of this machine have been started with."""
    found: set[int] = set()
    for path in Path('/proc').glob('[0-9]*/environ'):
        try:
            match = re.search(rb'(?:^|\0)ROS_DOMAIN_ID=(\d{1,3})\0', path.read_bytes())
        except OSError:  # it has ended, or is another user's
            continue
        if match is not None and path.parent.name != str(os.getpid()):
            found.add(int(match[1]))
    return found


def ros_environment(domain_id: int, profile: str = 'quick_discovery.xml') -> dict[str, str]:
    """
    Return the environment variables that keep a process within one domain of this host.

    `profile` is the name of a file of this directory with a profile of Fast DDS 3; for Fast DDS 2
    (until Jazzy) there may be one whose name ends with `_2`.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', sys.prefix)
    path, variable = Path(__file__).with_name(profile), 'FASTDDS_DEFAULT_PROFILES_FILE'
    if any(Path(prefix, 'lib/libfastrtps.so').exists() for prefix in prefixes.split(os.pathsep)):
        variable = 'FASTRTPS_DEFAULT_PROFILES_FILE'
        old = path.with_stem(f'{path.stem}_2')
        path = old if old.exists() else path
    return {
        'AMENT_PREFIX_PATH': prefixes,
        variable: str(path),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(domain_id),
    }
