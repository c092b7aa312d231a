"""The store of `up` in folders that people have."""

from __future__ import annotations

from tests.servers import running_s3


def test_the_own_store_keeps_its_objects_in_a_folder_with_a_comma(tmp_path):
    folder = tmp_path / "renders, 2026 (copy)"
    folder.mkdir()
    with running_s3(folder) as server:
        with server.client() as s3:
            s3.put_object(Bucket=server.bucket, Key="a", Body=b"x")
            assert s3.get_object(Bucket=server.bucket, Key="a")["Body"].read() == b"x"
        assert any((server.directory / "data").iterdir())
    assert [one.name for one in tmp_path.iterdir()] == [folder.name]
