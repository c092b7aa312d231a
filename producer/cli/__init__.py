"""CLI: the `comfyfleet` command."""
