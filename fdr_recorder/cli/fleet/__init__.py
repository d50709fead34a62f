# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr fleet`: what is done with the flights of many vehicles, in a store of objects."""

from __future__ import annotations

from typing import Final

SUMMARY: Final = 'Work with the flights of a fleet, in a store of objects'
EXAMPLES: Final = """\
  fdr fleet ls s3://flights            flights of all vehicles
  fdr fleet ls /mnt/flights            a directory is a store, too
  export FDR_FLEET_URL=s3://flights    then no verb needs to be told where

This needs some libraries: pip install 'fdr_recorder[fleet]'.
"""

VERBS: Final = ('receive', 'ls', 'sql', 'catalogue', 'verify', 'report', 'extract', 'page')
"""In the order of the help; each is a module of this package."""
MAY_BE_KILLED: Final = True
"""At any moment: Ctrl-C ends these verbs soon, also in a library that lets no Python run."""
