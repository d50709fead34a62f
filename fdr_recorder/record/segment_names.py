# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The names of a flight's segments."""

from __future__ import annotations

import re
from typing import Final

SEGMENT_PATTERN: Final = re.compile(r'segment_([0-9]{6}|[1-9][0-9]{6,8})\.mcap')
"""One name for each number, and no number that cannot be."""


def segment_name(index: int) -> str:
    """Return the file name of a segment."""
    return f'segment_{index:06d}.mcap'
