"""From the rings to the disk: format, segment, flight, writer, cap. Imports nothing of ROS."""
