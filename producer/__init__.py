"""What a web backend imports and a person runs: take each name from the module that owns it."""
