"""A node that speaks ComfyUI's protocol and needs no GPU, for demos, tests and benchmarks."""
