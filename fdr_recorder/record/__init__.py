"""What a record is: kinds, definitions, channels. Imports nothing of ROS."""
