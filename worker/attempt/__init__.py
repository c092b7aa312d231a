"""One attempt at a job: from its claim to its commit, or to what ends it otherwise."""
