# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The ten questions of docs/fleet.md."""

from __future__ import annotations

from pathlib import Path
import re
import shlex

PAGE = Path(__file__).parents[2] / 'docs' / 'fleet.md'


def questions() -> list[str]:
    """Return them in SQL, in their order."""
    page = PAGE.read_text(encoding='utf-8')
    section = page.partition('## Ten questions\n')[2].partition('\n## ')[0]
    blocks = re.findall(r'^```bash\n(.*?)^```', section, re.MULTILINE | re.DOTALL)
    found = [shlex.split(block) for block in blocks]
    assert all(words[:3] == ['fdr', 'fleet', 'sql'] and len(words) == 4 for words in found)
    return [words[3] for words in found]
