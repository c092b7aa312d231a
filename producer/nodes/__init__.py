"""Nodes and pools: listed, taken out and taken back, cleared, tried, restarted."""
