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
A ground station by MAVSDK, which reads MAVLink by C++ code of its own; as a program.

It prints each message that it hears, as a line of JSON, and sends each COMMAND_LONG or COMMAND_INT
that it reads as a line of JSON; the answer is a line, too. The argument is the connection.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

sys.stdout.flush()
OUT = os.fdopen(os.dup(1), 'w', buffering=1)
os.dup2(2, 1)  # what MAVSDK itself prints

from mavsdk.component_type import ComponentType  # noqa: E402
from mavsdk.mavsdk import Configuration, Mavsdk  # noqa: E402
from mavsdk.plugins.mavlink_direct import MavlinkDirect, MavlinkMessage  # noqa: E402


def say(name: str, system: int, component: int, fields: dict[str, object]) -> None:
    print(
        json.dumps(
            {
                'at': time.monotonic(),
                'name': name,
                'from': [system, component],
                **fields,
            }
        ),
        file=OUT,
    )


def hear(message: MavlinkMessage, _: object) -> None:
    fields = json.loads(message.fields_json)
    say(message.message_name, message.system_id, message.component_id, fields)


def serve(direct: MavlinkDirect) -> None:
    for line in sys.stdin:
        fields = json.loads(line)
        command = MavlinkMessage(
            message_name=fields.pop('name'),
            target_system_id=fields['target_system'],
            target_component_id=fields['target_component'],
            fields_json=json.dumps(fields),
        )
        try:
            answer = direct.send_command(command)
            result = json.loads(answer.fields_json)['result']
        except Exception as error:
            result = str(error)
        say('ANSWER', 0, 0, {'command': fields['command'], 'result': result})


def main() -> None:
    sdk = Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION))
    sdk.add_any_connection(sys.argv[1])
    say('OPEN', 0, 0, {})
    while not (systems := sdk.get_systems()):
        time.sleep(0.01)
    direct = MavlinkDirect(systems[0])
    direct.subscribe_message('', hear)
    threading.Thread(target=serve, args=[direct], daemon=True).start()
    say('SUBSCRIBED', 0, 0, {})
    threading.Event().wait()


if __name__ == '__main__':
    main()
