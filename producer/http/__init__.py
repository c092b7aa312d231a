"""The HTTP API: requests to calls of `producer.aio`, and errors to problems. Nothing is decided here."""
