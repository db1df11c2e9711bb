"""Where the bucket is, and what cannot be used."""

from __future__ import annotations

import re
from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.testing import configure
from logpipe_aws.out_s3 import S3Output
from logpipe_aws.s3.bucket import bucket_url

URLS = [
    ("", "https://b-1.s3.us-east-1.amazonaws.com"),
    ("force_path_style true\ns3_region eu-west-1", "https://s3.eu-west-1.amazonaws.com/b-1"),
    ("s3_region cn-north-1", "https://b-1.s3.cn-north-1.amazonaws.com.cn"),
    ("enable_dual_stack true", "https://b-1.s3.dualstack.us-east-1.amazonaws.com"),
    ("enable_transfer_acceleration true", "https://b-1.s3-accelerate.amazonaws.com"),
    ("s3_endpoint http://minio:9000/", "http://b-1.minio:9000"),
    ("s3_endpoint http://minio:9000\nforce_path_style true", "http://minio:9000/b-1"),
    ("s3_endpoint http://[::1]:9000", "http://[::1]:9000/b-1"),
    ("s3_bucket a.b", "https://s3.us-east-1.amazonaws.com/a.b"),
]


@pytest.mark.parametrize(("conf", "expected"), URLS)
def test_where_the_bucket_is(conf: str, expected: str) -> None:
    """As the plugin's library says."""
    bucket = "" if "s3_bucket" in conf else "s3_bucket b-1\n"
    options: Any = configure(S3Output, f"{bucket}{conf}")
    assert bucket_url(options) == expected


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("s3_endpoint s3-eu-west-1.amazonaws.com", "s3_endpoint parameter is not supported for S3"),
        ("store_as lzo", "no library"),
        ("store_as parquet", "columnify"),
        ("hex_random_length 17", "hex_random_length parameter must be less than or equal to 16"),
        ("index_format %s", "index_format parameter should follow"),
        ("s3_object_key_format %{uuid}", "placeholder in s3_object_key_format is removed"),
        ("s3_endpoint http://a\nsse_customer_key k", "https alone"),
        ('s3_metadata {"a b":"c"}', "is no name of metadata"),
    ],
)
def test_what_cannot_be_used(conf: str, said: str) -> None:
    """The settings say why."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        configure(S3Output, f"s3_bucket b\n{conf}")
