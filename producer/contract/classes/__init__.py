"""Graph node classes: what nodes have of them, what they read, save, link and load."""
