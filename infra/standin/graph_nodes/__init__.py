"""Graph nodes: the classes of graph nodes that a stand-in has."""
