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
Campaigns: what must survive is really broken, many times over, at random.

Each module that has a `NAME` is one campaign; see `Campaign`. `python test/campaigns` (or
`./dev campaign`) runs them for as long as asked, `test_campaigns.py` a few rounds of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import importlib
from pathlib import Path
import pkgutil
import random
from typing import cast, Protocol

Figures = Mapping[str, 'int | float']
"""What a round has measured, to be summed up over all rounds."""


class Campaign(Protocol):
    """
    What a campaign's module has.

    Attributes:
        NAME: What it is called on the command line.
        ABOUT: One sentence: what is done, and what must hold.
        DEFAULT_ROUNDS: Rounds of a long run.
        SHORT_ROUNDS: Rounds in `./dev test`; all of them together take 15 s at most.

    """

    NAME: str
    ABOUT: str
    DEFAULT_ROUNDS: int
    SHORT_ROUNDS: int

    # run_short_round: may be there as well, for `./dev test`, where a whole round takes too long.

    def run_round(self, rng: random.Random, directory: Path) -> Figures:
        """
        Run one round; raise if a promise is broken.

        Args:
            rng: The only source of chance, so that a round can be repeated.
            directory: Empty, and the round's own.

        """


def campaigns() -> dict[str, Campaign]:
    """Return every campaign of this package, by name."""
    modules = [
        importlib.import_module(f'{__name__}.{info.name}')
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith('_')
    ]
    found = [cast('Campaign', module) for module in modules if hasattr(module, 'NAME')]
    return {campaign.NAME: campaign for campaign in found}


def short_round(campaign: Campaign) -> Callable[[random.Random, Path], Figures]:
    """Return what runs a round in `./dev test`."""
    return getattr(campaign, 'run_short_round', campaign.run_round)


def chance(seed: int, round_number: int) -> random.Random:
    """Return the source of chance for one round, which does not depend on other rounds."""
    return random.Random(f'{seed}/{round_number}')
