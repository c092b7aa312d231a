"""Batch submission: rows are checked, packed and stored; upkeep then feeds them to the queue."""
