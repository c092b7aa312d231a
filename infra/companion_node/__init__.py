"""The companion node: copied into ComfyUI's ``custom_nodes``, it adds routes and no graph node.

``comfyfleet node install-companion COMFYUI_DIR`` copies it; ComfyUI loads it at its next start. It
needs nothing beside ComfyUI 0.3.64 to 0.33 and whatever Python that runs on, from 3.9 on.
"""

from __future__ import annotations

import sys

#: ComfyUI takes a package without it for broken.
NODE_CLASS_MAPPINGS: dict[str, type] = {}

if "server" in sys.modules and "folder_paths" in sys.modules:  # we are in ComfyUI
    from . import entry

    entry.install()
