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
Let Fast DDS announce the recorder more often, and in a thread of its own.

Publishers are discovered sooner so: docs/performance.md, 'Where the walls are', says why.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from rclpy.utilities import get_rmw_implementation_identifier

PROFILE: Final = Path(__file__).with_suffix('.xml')
OLD_PROFILE: Final = PROFILE.with_name('quick_discovery_2.xml')
"""The same for Fast DDS 2: neither version reads a profile with the other's elements."""
_VARIABLE: Final = 'FASTDDS_DEFAULT_PROFILES_FILE'
_OLD_VARIABLE: Final = 'FASTRTPS_DEFAULT_PROFILES_FILE'
"""The name of Fast DDS 2 (until Jazzy). Version 3 does not read it, but its rmw warns of it."""
_OLD_LIBRARY: Final = 'libfastrtps.so'
_OTHER_VARIABLES: Final = ('FASTDDS_ENVIRONMENT_FILE', 'RMW_FASTRTPS_USE_QOS_FROM_XML')
"""With these, too, the vehicle configures Fast DDS itself."""
_FILES: Final = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')
"""What Fast DDS reads in the working directory."""


def loaded_libraries() -> str:
    """Return a text that names the libraries of this process, the middleware's among them."""
    get_rmw_implementation_identifier()  # loads it, where rclpy has not yet
    try:
        return Path('/proc/self/maps').read_text(encoding='utf-8', errors='replace')
    except OSError:
        return ''


def announce_often(
    environment: MutableMapping[str, str], directory: Path, libraries: str
) -> bool:
    """
    Name the recorder's profile of Fast DDS in the environment, unless the vehicle has its own.

    To be called before rclpy starts. Other middlewares do not read these variables.

    Args:
        environment: Of this process.
        directory: Its working directory.
        libraries: As `loaded_libraries`.

    Returns:
        Whether the profile is used.

    """
    if any(environment.get(name) for name in (_VARIABLE, _OLD_VARIABLE, *_OTHER_VARIABLES)):
        return False
    if any((directory / name).exists() for name in _FILES):
        return False
    if _OLD_LIBRARY in libraries:
        environment[_OLD_VARIABLE] = str(OLD_PROFILE)
    else:
        environment[_VARIABLE] = str(PROFILE)
    return True
