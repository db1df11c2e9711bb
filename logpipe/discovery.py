"""A door for stages that find their peers by `<service_discovery>` or name them, and for plugins that find them."""

from logpipe.plugin.discovery import ServiceDiscovery as ServiceDiscovery
from logpipe.plugin.discovery import Services as Services
from logpipe.plugin.peer import Peer as Peer
from logpipe.plugin.service import Discovery as Discovery
from logpipe.plugin.service import Service as Service
