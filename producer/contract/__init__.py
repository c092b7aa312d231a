"""What producers and workers both say: jobs, graphs, queues, errors, settings."""
