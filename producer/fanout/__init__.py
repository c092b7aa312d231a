"""Status fan-out: one reader of the event stream a process, any number of watchers."""
