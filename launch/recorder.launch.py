"""Starts the flight data recorder: one process, the lifecycle node `fdr_recorder`.

It waits to be told to record (`ros2 lifecycle set /fdr_recorder configure`, then `activate`), or
begins at once with `autostart:=true`. Ctrl-C closes the flight before the launch ends.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

# Seconds that the recorder has for closing its flight; usually it takes a fraction of one.
SIGTERM_AFTER_S = '15'
SIGKILL_AFTER_S = '15'


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the recorder with them."""
    own_params_file = PathJoinSubstitution(
        [FindPackageShare('fdr_recorder'), 'config', 'recorder.yaml']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'params_file',
                default_value=own_params_file,
                description='Parameter file of the recorder.',
            ),
            DeclareLaunchArgument(
                'flight_root',
                default_value='',
                description='Directory that holds all flights of this vehicle; it must exist. '
                'Empty: what the parameter file says.',
            ),
            DeclareLaunchArgument(
                'namespace',
                default_value='',
                description='Namespace of the node, and of topics without a leading slash.',
            ),
            DeclareLaunchArgument(
                'autostart',
                default_value='false',
                description='Whether to configure and activate, that is to record, at once.',
            ),
            DeclareLaunchArgument(
                'log_level',
                default_value='info',
                description='debug, info, warn, error or fatal; '
                'of the node alone with fdr_recorder:=debug.',
            ),
            OpaqueFunction(function=_start_recorder),
        ]
    )


def _start_recorder(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Start the process, now that the values of the arguments are known."""
    recorder = LifecycleNode(
        package='fdr_recorder',
        executable='recorder',
        name='fdr_recorder',
        namespace=LaunchConfiguration('namespace'),
        parameters=_parameters(context),
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        sigterm_timeout=SIGTERM_AFTER_S,
        sigkill_timeout=SIGKILL_AFTER_S,
    )
    return [_autostart(recorder), recorder]


def _parameters(context: LaunchContext) -> list[Path | dict[str, ParameterValue]]:
    """Return the parameter file, and what overrides it.

    Raises:
        FileNotFoundError: There is no such file. LifecycleNode would only warn, and the recorder
            would fly with its defaults: without a single topic.

    """
    params_file = Path(LaunchConfiguration('params_file').perform(context)).expanduser()
    if not params_file.is_file():
        message = f'params_file: {params_file} is not a file'
        raise FileNotFoundError(message)
    flight_root = LaunchConfiguration('flight_root').perform(context)
    if not flight_root:
        return [params_file]
    return [params_file, {'flight_root': ParameterValue(flight_root, value_type=str)}]


def _autostart(recorder: LifecycleNode) -> RegisterEventHandler:
    """Configure when the process starts, and activate once that has succeeded.

    Not again after a later deactivate or cleanup: from then on somebody else is in command.
    """
    configured = OnStateTransition(
        target_lifecycle_node=recorder,
        start_state='configuring',
        goal_state='inactive',
        entities=[_change_state(recorder, Transition.TRANSITION_ACTIVATE)],
        handle_once=True,
    )
    started = OnProcessStart(
        target_action=recorder,
        on_start=[
            RegisterEventHandler(configured),
            _change_state(recorder, Transition.TRANSITION_CONFIGURE),
        ],
    )
    return RegisterEventHandler(started, condition=IfCondition(LaunchConfiguration('autostart')))


def _change_state(recorder: LifecycleNode, transition: int) -> EmitEvent:
    return EmitEvent(
        event=ChangeState(
            lifecycle_node_matcher=matches_action(recorder), transition_id=transition
        )
    )
