"""The stages that ship with the engine, which finds them by entry point and never imports them."""
