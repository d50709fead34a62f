"""The benchmark: `./dev bench`, or `python -m bench` where ROS 2 is sourced.

Every figure is a ratio of two programs that did the same work in turn, in one run. README.md says
what is measured and how.
"""
