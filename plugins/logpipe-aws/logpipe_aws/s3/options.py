"""The settings of out_s3."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Literal

from logpipe import InvalidSetting, Options, PluginConf, Seconds, param, plugin_section, section
from logpipe.codec import InjectOptions
from logpipe.net import check_header
from logpipe_aws.credentials import TIMES, CredentialOptions
from logpipe_aws.s3.content import REFUSED, STORES
from logpipe_aws.s3.keys import REMOVED

HASHED: Final = "the SHA-256 of each object is signed with its request, so that S3 refuses what has changed on the way"
MOST_RANDOM: Final = 16
_INDEX: Final = re.compile(r"%(0\d{0,3})?[dxX]")
_DAY: Final = Seconds(86_400.0)


class SliceOptions(Options):
    """The settings of `<buffer>` that out_s3 uses itself; the engine reads the rest."""

    _extra: ClassVar = re.compile(".*")

    timekey: Seconds | None = param("Length of a time slice.", default=None)


class CompressOptions(Options):
    """`<compress>`."""

    level: int = param("How much is done to make an object smaller with `store_as zstd`, 1 to 22.", default=3)


class BucketOptions(CredentialOptions):
    """Where the bucket is, and who comes to it."""

    aws_profile: str | None = param("The profile in the files of AWS's command line whose keys are used.", default=None)
    aws_credential_process: str | None = param("A command that prints keys, as in AWS's own files.", default=None)
    aws_iam_retries: int | None = param(f"Accepted for compatibility; {TIMES}.", default=None)
    s3_bucket: str = param("The bucket.")
    s3_region: str = param(
        "Its region; unset: $AWS_REGION, else us-east-1.",
        default=os.environ.get("AWS_REGION") or "us-east-1",
    )
    s3_endpoint: str | None = param(
        "The URL of another server that speaks S3: MinIO, Ceph, a VPC's endpoint.", default=None
    )
    force_path_style: bool = param("Name the bucket in the path of the URL, and not in its host.", default=False)
    enable_transfer_acceleration: bool = param("Send to the nearest of AWS's edges.", default=False)
    enable_dual_stack: bool = param("Send to endpoints that have IPv6 as well.", default=False)
    proxy_uri: str | None = param("The proxy's URL; unset: what the environment says.", default=None, secret=True)
    ssl_verify_peer: bool = param(
        "Whether the server's certificate must be for its name, by a trusted CA.", default=True
    )
    ssl_ca_bundle: str | None = param("CAs to trust in place of the system's.", default=None)
    use_bundled_cert: bool = param("Accepted for compatibility; the system's CAs are trusted.", default=False)
    check_apikey_on_start: bool = param(
        "Try the keys when logpipe starts. What is wrong is logged, where the plugin would not start.", default=True
    )
    check_bucket: bool = param("Look whether there is such a bucket before the first chunk.", default=True)
    auto_create_bucket: bool = param("Make it if there is none.", default=True)
    compute_checksums: bool | None = param(f"Accepted for compatibility; {HASHED}.", default=None)
    signature_version: str | None = param("Accepted for compatibility; it is version 4.", default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        yield from super().check()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", self.s3_bucket):
            yield InvalidSetting("this is no bucket's name", param="s3_bucket", severity="warning")
        endpoint = self.s3_endpoint
        if endpoint:
            if not re.fullmatch(r"https?://[^/?#\s]+/?", endpoint):
                yield InvalidSetting(
                    "write s3_endpoint as a URL, http://HOST:PORT", param="s3_endpoint", severity="warning"
                )
            bare = endpoint.rstrip("/")
            is_own = bare.endswith("amazonaws.com") and not bare.endswith("vpce.amazonaws.com")
            if is_own and not any(part in bare for part in ("fips", "gov")):
                # compat: the message of out_s3.rb
                message = "s3_endpoint parameter is not supported for S3, use s3_region instead."
                yield InvalidSetting(f"{message} This parameter is for S3 compatible services", param="s3_endpoint")
        if not self.ssl_verify_peer:
            message = "with ssl_verify_peer false whoever is between logpipe and S3 can read and answer"
            yield InvalidSetting(f"{message}: write ssl_ca_bundle", param="ssl_verify_peer", severity="warning")


class S3Options(BucketOptions):
    """Settings of `<match> @type s3`."""

    path: str = param("What `%{path}` in keys stands for; placeholders are filled in.", default="", placeholders=True)
    s3_object_key_format: str = param(
        "The keys of objects: `%{path}`, `%{time_slice}`, `%{index}` (the first number that is free), `%{hex_random}` "
        "and `%{uuid_flush}` (made of the chunk's id, so that it has one object however often it is sent), "
        "`%{hostname}`, `%{file_extension}`, `%{hms_slice}` with `check_object false`; `${tag}`, `${key}`, "
        "`${chunk_id}` and `%Y%m%d`.",
        default="%{path}%{time_slice}_%{index}.%{file_extension}",
        placeholders=True,
    )
    time_slice_format: str | None = param(
        "What `%{time_slice}` stands for; unset: by `timekey`. 0.12's way to set that, too.", default=None
    )
    index_format: str = param("How `%{index}` is written: `%d`, `%04d`, `%x`.", default="%d")
    hex_random_length: int = param(f"Digits of `%{{hex_random}}`, {MOST_RANDOM} at most.", default=4)
    check_object: bool = param(
        "Look whether there is an object of that key, and take the next index if so; an object of the same chunk is "
        "overwritten. Without `s3_object_key_format`, false means "
        "`%{path}/%{time_slice}_%{hms_slice}.%{file_extension}`.",
        default=True,
    )
    overwrite: bool = param("Overwrite where no index makes the key another.", default=False)
    store_as: str = param(
        "What is done with the content: gzip (gzip_command is the same), zstd, lzma2, json or text; "
        "anything else is text.",
        default="gzip",
    )
    storage_class: str = param("The storage class.", default="STANDARD")
    reduced_redundancy: bool = param(
        "Use the storage class REDUCED_REDUNDANCY.", default=False, deprecated="use storage_class"
    )
    acl: str | None = param("The canned ACL of objects, `bucket-owner-full-control` say.", default=None)
    grant_full_control: str | None = param("Who may do all.", default=None)
    grant_read: str | None = param("Who may read.", default=None)
    grant_read_acp: str | None = param("Who may read the ACL.", default=None)
    grant_write_acp: str | None = param("Who may write the ACL.", default=None)
    use_server_side_encryption: str | None = param("How S3 encrypts: AES256, aws:kms.", default=None)
    ssekms_key_id: str | None = param("The key of KMS for that.", default=None, secret=True)
    sse_customer_algorithm: str | None = param("How S3 encrypts with a key of yours: AES256.", default=None)
    sse_customer_key: str | None = param("That key, 32 bytes; over https alone.", default=None, secret=True)
    sse_customer_key_md5: str | None = param(
        "Accepted for compatibility; it follows from the key.", default=None, secret=True
    )
    tagging: str | None = param("Tags of objects, `a=b&c=d`.", default=None)
    s3_metadata: dict[str, str] | None = param(
        "Metadata of objects, with placeholders and `%{index}`.", default=None, placeholders=True
    )
    checksum_algorithm: Literal["CRC32", "SHA1", "SHA256"] | None = param(
        "A checksum that S3 keeps with the object.", default=None
    )
    warn_for_delay: Seconds | None = param("Warn of chunks whose time slice is that old.", default=None)
    format: PluginConf = plugin_section("How an event is written.", kind="formatter", default_type="out_file")
    compress: CompressOptions | None = section("How zstd compresses.")
    inject: InjectOptions | None = section("Fields to add.")
    buffer: SliceOptions | None = section("How chunks are cut; without it, and by default, one a day.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        yield from super().check()
        if not 0 < self.hex_random_length <= MOST_RANDOM:
            # compat: the message of out_s3.rb
            message = f"hex_random_length parameter must be less than or equal to {MOST_RANDOM}"
            yield InvalidSetting(message, param="hex_random_length")
        if not _INDEX.fullmatch(self.index_format):
            # compat: the message of out_s3.rb
            yield InvalidSetting(
                "index_format parameter should follow `%[flags][width]type`. `0` is the only supported flag, and is "
                "mandatory if width is specified. `d`, `x` and `X` are supported types",
                param="index_format",
            )
        for word in REMOVED:
            if word in self.s3_object_key_format:
                message = f"{word} placeholder in s3_object_key_format is removed"  # compat
                yield InvalidSetting(f"{message}: use %{{uuid_flush}}", param="s3_object_key_format")
        if self.store_as in REFUSED:
            yield InvalidSetting(REFUSED[self.store_as], param="store_as")
        elif self.store_as not in STORES:
            # compat: out_s3.rb goes on with text
            yield InvalidSetting(
                f"'{self.store_as}' not supported. Use 'text' instead", param="store_as", severity="warning"
            )
        if self.sse_customer_key and (self.s3_endpoint or "").startswith("http:"):
            yield InvalidSetting("a key of yours goes over https alone", param="sse_customer_key")
        yield from self._check_headers()

    def _check_headers(self) -> Iterator[InvalidSetting]:
        for setting, value in self.headers_by_setting().items():
            try:
                check_header("X", value)
            except ValueError:
                yield InvalidSetting("this cannot stand in a header", param=setting)
        for name in self.s3_metadata or {}:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                yield InvalidSetting(f"{name!r} is no name of metadata", param="s3_metadata")

    def headers_by_setting(self) -> dict[str, Any]:
        """Return those settings that are headers of an upload as they are."""
        return {name: value for name in HEADERS if (value := getattr(self, name))}


HEADERS: Final = {
    "acl": "x-amz-acl",
    "grant_full_control": "x-amz-grant-full-control",
    "grant_read": "x-amz-grant-read",
    "grant_read_acp": "x-amz-grant-read-acp",
    "grant_write_acp": "x-amz-grant-write-acp",
    "use_server_side_encryption": "x-amz-server-side-encryption",
    "ssekms_key_id": "x-amz-server-side-encryption-aws-kms-key-id",
    "sse_customer_algorithm": "x-amz-server-side-encryption-customer-algorithm",
    "storage_class": "x-amz-storage-class",
    "tagging": "x-amz-tagging",
}
"""By setting."""
