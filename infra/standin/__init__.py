"""Stand-in for a node: a server with ComfyUI's protocol and no GPU, for demos, tests and benchmarks."""
