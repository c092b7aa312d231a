"""Producer: the library that a web backend imports, and the command; import names from their modules."""
