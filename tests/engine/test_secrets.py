"""What is taken for a secret, and that nothing shows it."""

from __future__ import annotations

import pytest

from logpipe.config.secrets import MASK, is_secret_name, masked_line, masked_text, masked_urls

SECRET = [
    "password",
    "db_password",
    "dbPassword",
    "DB_PASSWORD",
    "passwd",
    "pass",
    "pwd",
    "passphrase",
    "private_key_passphrase",
    "secret",
    "client_secret",
    "secretKey",
    "secret_key",
    "aws_sec_key",
    "shared_key",
    "api_key",
    "apikey",
    "apiKey",
    "X-Api-Key",
    "x-api-key",
    "private_key",
    "privateKey",
    "credentials",
    "credential",
    "token",
    "apiToken",
    "api_token",
    "access_token",
    "bearerToken",
    "license_key",
    "dsn",
    "connection_string",
    "connectionString",
    "azure_storage_connection_string",
    "Authorization",
    "authorization",
    "storage_access_key",
    "account_key",
    "sasl_jaas_config",
    "signing_key",
]
PUBLIC = [
    "topic_key",
    "message_key",
    "partition_key",
    "key",
    "keys",
    "tag",
    "user",
    "username",
    "ssl_client_cert_key",
    "client_key",
    "private_key_path",
    "ca_file",
    "token_path",
    "password_file",
    "pass_thru",
    "passing",
    "secretary",
    "path",
    "bypass",
    "tokenizer",
    "time_key",
    "hostname_key",
    "dsnlike",
    "aws_region",
    "keep_time_key",
]


@pytest.mark.parametrize("name", SECRET)
def test_names_of_secrets(name: str) -> None:
    """However they are spelled."""
    assert is_secret_name(name)
    assert masked_line(f"  {name} hunter2 hunter3") == f"  {name} {MASK}"
    assert masked_line(f"  - {name}: hunter2") == f"  - {name}: {MASK}"
    assert "hunter2" not in masked_text(f'{{"{name}":"hunter2","a":1}}', env={})
    assert "hunter2" not in masked_text(f"a=1;{name}=hunter2;b=2", env={})


@pytest.mark.parametrize("name", PUBLIC)
def test_names_of_what_everybody_may_see(name: str) -> None:
    """Fields, paths and names."""
    assert not is_secret_name(name)
    assert masked_line(f"  {name} value") == f"  {name} value"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:hunter2@host/x", "https://user:xxxxxx@host/x"),
        ("https://hunter2@host/x", "https://xxxxxx@host/x"),
        ("https://user:hun@ter2@host/x", "https://user:xxxxxx@host/x"),
        ("https://user:@host/x", "https://user:xxxxxx@host/x"),
        ("a=https://u:hunter2@h1,https://u:hunter2@h2", "a=https://u:xxxxxx@h1,https://u:xxxxxx@h2"),
        ("user:hunter2@host:9092", "user:xxxxxx@host:9092"),
        ("https://host/?token=hunter2&a=1", "https://host/?token=xxxxxx&a=1"),
        ("Bearer hunter2.abc", "Bearer xxxxxx"),
        ("Authorization: Bearer hunter2", "Authorization: xxxxxx"),
        ("Authorization: hunter2", "Authorization: xxxxxx"),
        ('{"Authorization":"Basic aHVudGVyMg=="}', '{"Authorization":"xxxxxx"}'),
        ("AccountName=a;AccountKey=hunter2==;Suffix=b", "AccountName=a;AccountKey=xxxxxx;Suffix=b"),
        ("https://host:9200/path", "https://host:9200/path"),
        ("mail somebody@example.com", "mail somebody@example.com"),
        ("/^(?<token>[^ ]*) (?<user>[^@]*)@/", "/^(?<token>[^ ]*) (?<user>[^@]*)@/"),
        ("Basic settings", "Basic settings"),
    ],
)
def test_secrets_in_values(text: str, shown: str) -> None:
    """Of URLs, headers and connection strings."""
    assert masked_text(text, env={}) == shown


def test_values_of_the_environment() -> None:
    """A variable that is called like a secret is one wherever its value stands; short ones may be anything."""
    env = {"DB_PASSWORD": "hunter2", "HOME": "/root/x", "A_TOKEN": "abc"}
    assert masked_text("x-hunter2-y /root/x abc", env=env) == f"x-{MASK}-y /root/x abc"


def test_messages_quote_no_passwords_of_urls() -> None:
    """What a message says otherwise stays as it is."""
    text = '"password": no default; "brokers": \'u:hunter2@h:1\' is no address'
    assert masked_urls(text) == text.replace("hunter2", MASK)
