"""Intake: checks requests and makes them submissions."""
