"""Sample graphs, for the demo and the tests."""
