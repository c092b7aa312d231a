"""Which job a worker takes next, and when."""
