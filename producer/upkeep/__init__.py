"""What any worker does for the whole fleet, one at a time."""
