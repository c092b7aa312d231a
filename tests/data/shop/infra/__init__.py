"""A backend's own infrastructure."""
