"""The ROS 2 side: a lifecycle node around the core. Only here `rclpy` is imported."""
