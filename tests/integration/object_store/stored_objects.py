"""What a test puts into a store, and how it sees what became of it."""

from __future__ import annotations

import hashlib

from producer.storage.write_once import MULTIPART_ABOVE_BYTES

LARGE = MULTIPART_ABOVE_BYTES + 1000
PNG = b"\x89PNG not quite"


def credentials_file(folder, access_key, secret_key):
    path = folder / f"credentials-{len(list(folder.iterdir()))}"
    path.write_text(
        f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"
    )
    return path


def file_of(folder, content, name="spooled"):
    path = folder / name
    path.write_bytes(content)
    return path


def put(store, path, *, key="renders/a.png", sha256=None, media_type="image/png", metadata=None):
    store.put_file(
        path,
        key=key,
        sha256=sha256 or hashlib.sha256(path.read_bytes()).hexdigest(),
        media_type=media_type,
        metadata=metadata or {},
        download_name="a.png",
    )


def content(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def open_uploads(s3, bucket):
    return s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def on(store, event, handler):
    store._bucket.s3.meta.events.register(event, handler)
