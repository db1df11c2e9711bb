"""The Ruby methods that expressions may call, one module for each kind of receiver; `table` combines them."""
