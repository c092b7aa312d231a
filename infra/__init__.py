"""What a fleet runs on: the embedded stack, the stand-in node, units and manifests."""
