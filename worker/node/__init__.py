"""The worker's node: who it is, whether it is well, what is tried when it is not."""
