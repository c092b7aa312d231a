"""Copies of artifacts, made after the commit, beside the render cycle."""
