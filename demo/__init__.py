"""
A whole flight on one machine: a simulated multirotor, the recorder, and the check afterwards.

``python -m demo.fly`` (or ``./dev demo``) is the way in. It runs from a checkout and is not
installed with the package. Nothing here imports ``fdr_recorder``: the demo sees the recorder the
way a vehicle and a ground station see it, through processes, topics, services and files.
"""
