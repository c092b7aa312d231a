"""Upkeep: the work that workers do for the whole fleet, one worker at a time."""
