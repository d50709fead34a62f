"""The command line `fdr`, and the same verbs as `ros2 fdr`. One module for each verb."""
