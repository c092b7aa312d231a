"""ComfyUI's HTTP and websocket protocol, as recorded on versions 0.3.64 and 0.33.0."""
