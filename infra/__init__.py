"""Infrastructure of a fleet: the embedded stack, the stand-in node, the companion, and files for deployment."""
