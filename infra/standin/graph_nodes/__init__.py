"""The classes of graph nodes that a stand-in has."""
