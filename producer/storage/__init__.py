"""S3: inputs, artifacts and manifests, and the only code that knows a bucket."""
