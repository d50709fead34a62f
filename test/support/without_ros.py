# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What ROS 2 is to an import, and Python code that hides it as if it was not installed."""

from __future__ import annotations

LAUNCH = {'launch', 'launch_ros', 'launch_testing'}
_ROS = {'ament_index_python', 'rclpy', 'ros2cli', 'rosidl_runtime_py', *LAUNCH}


def is_ros(module: str) -> bool:
    """Tell whether a module comes with ROS 2."""
    top = module.partition('.')[0]
    return top in _ROS or top.endswith('_msgs')


def hide_ros(*others: str) -> str:
    """Return code after which ROS 2, and these top-level modules, cannot be imported."""
    hidden = {*_ROS, *others}
    return f"""
import sys

class NoRos:
    def find_spec(self, name, path=None, target=None):
        top = name.partition('.')[0]
        if top in {hidden!r} or top.endswith('_msgs'):
            raise ModuleNotFoundError(f'hidden: {{name}}', name=name)

sys.meta_path.insert(0, NoRos())
"""
