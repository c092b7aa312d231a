"""Graphs in ComfyUI's API format: reading, shape checks, hashing, and the envelopes around them."""
