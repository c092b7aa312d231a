"""Files by their content: what they are, and whether they are whole."""
