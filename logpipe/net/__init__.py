"""A door for stages that listen or connect: sockets that outlive a configuration, TLS, limits, HTTP on both sides.

A stage declares where it listens when it is made, `host.endpoint(Address.tcp(bind, port))`, and starts one of
`Listener`, `Datagrams` and `HttpServer` there.

transport.py    the settings of `<transport>`; tls.py: certificates that change
accepting.py    connections, so many and so fast; limits.py
listener.py     streams: a connection.py each, which a reload may keep (kept.py)
datagrams.py    datagrams; seldom.py: messages about what comes, one a second
http/           the HTTP server, on aiohttp, which is imported when one starts
client/         the HTTP client, on aiohttp as well, which is imported with the first request

A stage that connects makes a `Dialer`, with `ClientContexts` for TLS, and keeps what may be used again in a `Pool`.

dialing.py      streams to peers; pool.py: those that wait; client_tls.py: whom they trust, and the HTTP client
dns/            what the system's look-up of names does not know: SRV records

The sockets themselves are in `logpipe/sockets`.
"""

from logpipe.net.client.answers import AGAIN as AGAIN
from logpipe.net.client.answers import Answer as Answer
from logpipe.net.client.answers import RequestFailedError as RequestFailedError
from logpipe.net.client.answers import Verdict as Verdict
from logpipe.net.client.aws_keys import AwsKeys as AwsKeys
from logpipe.net.client.aws_keys import AwsSts as AwsSts
from logpipe.net.client.client import HttpClient as HttpClient
from logpipe.net.client.client import check_header as check_header
from logpipe.net.client.credentials import AwsCredentials as AwsCredentials
from logpipe.net.client.credentials import NoCredentialsError as NoCredentialsError
from logpipe.net.client.proxy import environment_proxy as environment_proxy
from logpipe.net.client.settings import ClientSettings as ClientSettings
from logpipe.net.client.sigv4 import AwsSigner as AwsSigner
from logpipe.net.client_tls import ClientContexts as ClientContexts
from logpipe.net.client_tls import ClientTls as ClientTls
from logpipe.net.connection import Connection as Connection
from logpipe.net.connection import IdleError as IdleError
from logpipe.net.datagrams import Datagrams as Datagrams
from logpipe.net.dialing import ClientStream as ClientStream
from logpipe.net.dialing import ConnectError as ConnectError
from logpipe.net.dialing import Dialer as Dialer
from logpipe.net.dialing import resolve as resolve
from logpipe.net.dns.messages import Srv as Srv
from logpipe.net.dns.resolver import DnsError as DnsError
from logpipe.net.dns.resolver import Resolver as Resolver
from logpipe.net.http.access import BasicAuth as BasicAuth
from logpipe.net.http.access import Cors as Cors
from logpipe.net.http.messages import ANY as ANY
from logpipe.net.http.messages import Handler as Handler
from logpipe.net.http.messages import Reply as Reply
from logpipe.net.http.messages import Request as Request
from logpipe.net.http.messages import Route as Route
from logpipe.net.http.messages import problem as problem
from logpipe.net.http.server import HttpServer as HttpServer
from logpipe.net.limits import HttpLimits as HttpLimits
from logpipe.net.limits import Limits as Limits
from logpipe.net.listener import Listener as Listener
from logpipe.net.pool import Pool as Pool
from logpipe.net.seldom import Seldom as Seldom
from logpipe.net.tls import TlsError as TlsError
from logpipe.net.transport import TransportOptions as TransportOptions
from logpipe.net.transport import refuse_others as refuse_others
from logpipe.sockets.address import Address as Address
from logpipe.sockets.endpoint import Endpoint as Endpoint
from logpipe.sockets.opening import ListenError as ListenError
