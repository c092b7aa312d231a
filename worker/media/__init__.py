"""Media files: recognises their format by content, and checks that they are complete."""
