"""Redis: the one truth about jobs and nodes, and the only code that knows a key."""
