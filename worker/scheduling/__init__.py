"""Which queue a worker asks next, and when it takes a job."""
