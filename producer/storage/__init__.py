"""Storage in S3: inputs, artifacts and manifests; the only code that accesses the bucket."""
