"""After the flight: reading what was recorded. Imports nothing of ROS."""
