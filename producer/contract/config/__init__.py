"""Configuration: settings, and the addresses and credentials of Redis, S3 and nodes."""
