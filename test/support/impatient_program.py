# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""As a program, `fdr` whose progress bars are there at once, not after half a second."""

from __future__ import annotations

import sys

from fdr_recorder.cli import console, main

if __name__ == '__main__':
    console.PATIENCE_S = 0
    sys.exit(main.main())
