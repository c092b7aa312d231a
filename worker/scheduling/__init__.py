"""Scheduling in a worker: which queue it asks next, and when it takes a job."""
