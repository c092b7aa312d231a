"""Settings, and the addresses of Redis, S3 and nodes."""
