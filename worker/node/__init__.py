"""The worker's node: its record, its health, its peers, and what the worker keeps on its host for it."""
