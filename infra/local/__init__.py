"""Local (embedded) stack: real servers, nodes and workers on one machine."""
