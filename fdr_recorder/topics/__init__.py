"""Which topics: names, patterns, options; without ROS."""
