# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A subscription that takes the place of another one, with another QoS."""

from __future__ import annotations

from dataclasses import field
import time
from typing import Final

from fdr_recorder.node.intake.subscription_protocol import TopicSubscription
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.quick_dataclass import dataclass

OVERLAP_S: Final = 1.0
"""How long a subscription overlaps with its successor: until then, all publishers know the new
one."""


@dataclass(eq=False)
class Successor:
    """A subscription that will replace another one at `due_at` (monotonic seconds)."""

    plan: TopicPlan
    subscription: TopicSubscription
    due_at: float = field(default_factory=lambda: time.monotonic() + OVERLAP_S)
