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
The exit codes of `fdr`. Each verb's help repeats those that it uses.

| code | verb | meaning |
| --- | --- | --- |
| 0 | all | done, and nothing was found |
| 1 | `verify` | intact, but records are missing |
| 1 | `recover` | nothing can be read of a flight; with `--dry-run`, a flight needs recovery |
| 1 | `export`, `cat` | done as far as the flight can be read; some of it cannot |
| 1 | `check` | a check failed |
| 1 | `prune` | the flights that must stay exceed the limits |
| 1 | `offload` | a flight cannot be brought, or stays with `--prune` |
| 2 | `verify` | a flight is damaged |
| 4 | `verify` | nothing is known to be missing, but on some topics losses cannot be seen |
| 5 | `verify` | of a topic that was asked for nothing was recorded |
| 6 | `verify` | a flight was never closed: `fdr recover` |
| 7 | `verify` | a flight is not authentic: the files are not as the recorder sealed them |
| 8 | `verify --keys` | a flight is authentic only up to a time, or in part |
| 9 | `verify --keys` | a flight is not sealed, or by nobody who is trusted |
| 2 | `check` | no check failed, but some were skipped |
| 2 | `offload` | not all is in the store yet: run it again |
| 3 | all | not done, wrong usage included: stderr says why, and what to do |
| 130 | all | interrupted (Ctrl-C) |
| 141 | all | the reader of stdout is gone, for example `head` |
"""

from __future__ import annotations

from typing import Final

EXIT_OK: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_INCOMPLETE: Final = 2
"""Of `check` and `offload`. Those of `verify` are the values of `Verdict`."""
EXIT_REFUSED: Final = 3
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141
"""What a shell returns for a program that SIGPIPE killed."""
