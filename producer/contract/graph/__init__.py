"""Graphs in ComfyUI's API format: read, checked, hashed; what people wrap around them."""
