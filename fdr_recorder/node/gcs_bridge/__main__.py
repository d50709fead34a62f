# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`python -m fdr_recorder.node.gcs_bridge`: what the executable `gcs_bridge` runs."""

from __future__ import annotations

import signal
import sys

from fdr_recorder.interrupts import end_quietly

if __name__ == '__main__':
    end_quietly(0, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    from fdr_recorder.node import quick_start  # before ROS messages
    from fdr_recorder.node.gcs_bridge.gcs_bridge import main

    quick_start.imports_are_done()
    sys.exit(main())
