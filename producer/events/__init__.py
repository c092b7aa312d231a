"""Following jobs: one reader of the event stream a process, which delivers to every watcher in it."""
