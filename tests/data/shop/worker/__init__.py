"""A backend's own worker."""
