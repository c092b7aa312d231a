"""Params: the values that a job sets in its graph, and where."""
