"""Batches: rows checked and handed in, then fed to the queue."""
