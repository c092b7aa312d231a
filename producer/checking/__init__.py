"""Checks of what is stored: records and indexes in Redis, objects in S3, and whether they agree."""
