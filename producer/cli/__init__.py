"""The `comfyfleet` command."""
