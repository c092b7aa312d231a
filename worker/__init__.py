"""One process, one node: takes a job, has ComfyUI render it, stores what it made."""
