"""Formats of files, one module each: checks that a file is complete, and reads its size in pixels."""
