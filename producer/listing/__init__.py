"""Lists of jobs: which are meant by a filter, a page at a time."""
