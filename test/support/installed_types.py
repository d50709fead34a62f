# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The message types that are installed here, and what rosidl says of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
import sys

from fdr_recorder.errors import RecordError
from fdr_recorder.types.definition import Definition, ROS2MSG, SEPARATOR
from rosbags.typesys import get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore

SHARES = [
    Path(prefix, 'share')
    for prefix in (*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix)
    if prefix
]


def type_hashes() -> dict[str, str]:
    """Return the hash of every installed type that can be published, by its full name."""
    found = {}
    for share in reversed(SHARES):
        for path in share.glob('*/*/*.json'):
            if path.parent.name not in ('msg', 'srv', 'action'):
                continue
            for entry in json.loads(path.read_text())['type_hashes']:
                name = entry['type_name']
                kind, _, message = name.partition('/')[2].partition('/')
                of_this_file = name.startswith(f'{path.parts[-3]}/{path.parts[-2]}/{path.stem}')
                is_service = kind != 'msg' and message.rpartition('_')[2] in (
                    path.stem,
                    'SendGoal',
                    'GetResult',
                )
                if of_this_file and not is_service:
                    found[name] = entry['hash_string']
    return found


def read_file(package: str, name: str) -> str:
    """Read a file of a package's share directory."""
    for share in SHARES:
        path = share / package / name
        if path.is_file():
            return path.read_text(encoding='utf-8')
    raise RecordError(f'{package}/{name}')


def parse(definition: Definition) -> Typestore:
    """Return the type system that another library makes of a definition."""
    store = Typestore()
    if definition.encoding == ROS2MSG:
        store.register(get_types_from_msg(definition.text, definition.name))
    else:
        for part in definition.text.split(f'{SEPARATOR}\n')[1:]:
            store.register(get_types_from_idl(part.partition('\n')[2]))
    return store
