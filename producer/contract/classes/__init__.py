"""Classes of graph nodes: which a node has, and their inputs, outputs, files, models and links."""
