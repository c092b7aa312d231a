"""What `producer.http_client` is made of: requests to the HTTP API, errors of its problems, its events."""
