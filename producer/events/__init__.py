"""Events of jobs: one reader of the event stream per process, which delivers to all its watchers."""
