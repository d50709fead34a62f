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
The texts of message types in `.msg`, `.srv` and `.action` files.

A service or an action consists of several message types: requests, responses, feedback, and the
events of introspected services. The file contains some of them, separated by lines of `---`; the
others are derived from its name (`rosidl_parser` has the same derivations).
"""

from __future__ import annotations

from collections.abc import Callable
import re
from typing import Final

from fdr_recorder.errors import RecordError

_SECTION_END = r'(?m)^---[ \t]*$\n?'
_UNQUALIFIED = r'(?m)^(\s*)(?=[A-Z]\w*(?:\[[^\]]*\])?\s+[A-Za-z])'
_SECTIONS: Final = {
    'srv': ('Request', 'Response'),
    'action': ('Goal', 'Result', 'Feedback'),
}
_DERIVED: Final = {
    'FeedbackMessage': 'unique_identifier_msgs/UUID goal_id\n{base}_Feedback feedback\n',
    'SendGoal_Request': 'unique_identifier_msgs/UUID goal_id\n{base}_Goal goal\n',
    'SendGoal_Response': 'bool accepted\nbuiltin_interfaces/Time stamp\n',
    'GetResult_Request': 'unique_identifier_msgs/UUID goal_id\n',
    'GetResult_Response': 'int8 status\n{base}_Result result\n',
}
_EVENT: Final = (
    'service_msgs/ServiceEventInfo info\n'
    '{service}_Request[<=1] request\n'
    '{service}_Response[<=1] response\n'
)


def read_interface(name: str, read_file: Callable[[str, str], str]) -> str:
    """
    Return the text of a type, such as `package/msg/Type` or `package/srv/Type_Request`.

    `read_file` returns the text of a file of a package, for example of `std_srvs` and
    `srv/Trigger.srv`. Raise `RecordError` if there is no such file, or it does not contain the
    type.
    """
    package, kind, message = name.split('/')
    if kind == 'msg':
        return read_file(package, f'msg/{message}.msg')
    base, _, part = message.partition('_')
    if part.endswith('Event'):
        return _EVENT.format(service=name.removesuffix('_Event'))
    if kind == 'action' and part in _DERIVED:
        return _DERIVED[part].format(base=f'{package}/action/{base}')
    sections = re.split(_SECTION_END, read_file(package, f'{kind}/{base}.{kind}'))
    names = _SECTIONS.get(kind, ())
    if part not in names or len(sections) != len(names):
        raise RecordError(f'there is no {name} in {kind}/{base}.{kind} of {package}')
    # An unqualified name means a message; readers would look for it among services or actions.
    return re.sub(_UNQUALIFIED, rf'\g<1>{package}/', sections[names.index(part)])
