"""Contract between producers and workers: jobs, graphs, queues, errors, settings. No I/O."""
