"""Store in Redis: the records of jobs, batches and nodes; the only code that knows a key."""
