"""The worker process: takes jobs for one node, has its ComfyUI render them, stores the outputs in S3."""
