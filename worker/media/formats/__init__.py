"""One module a file format: is a file whole, what is it, how large is its picture."""
