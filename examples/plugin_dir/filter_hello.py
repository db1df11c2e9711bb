"""A complete plugin: with `logpipe -p examples/plugin_dir -c FILE`, `@type hello` is available."""

from logpipe import Filter, Options, Record, Time, param


class HelloOptions(Options):
    """Settings of `<filter> @type hello`."""

    name: str = param("Whom to greet.", default="world")


class Hello(Filter[HelloOptions], type="hello"):
    """Adds a greeting to every event."""

    def filter(self, _tag: str, _time: Time, record: Record) -> Record | None:
        """Greet."""
        record["greeting"] = f"hello {self.options.name}"
        return record
