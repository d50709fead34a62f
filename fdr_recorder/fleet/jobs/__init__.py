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
Jobs over the flights of a store: one call per flight, in processes here or on a cluster.

`task` says what is to be done with one flight and what came of it; `work` does it, wherever it
runs; `running` hands tasks to workers, which are `processes` of this machine or those of a
`cluster`. What a job makes goes into the store, last a document that says what it found: what
has one is not made again.
"""
