"""One reader of the event stream a process; watchers in threads, on loops, on sockets."""
