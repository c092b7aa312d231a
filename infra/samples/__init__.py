"""Graphs that the demo renders, and that the tests use."""
