"""The filter language: which jobs are meant, in one line of text. Pure."""
