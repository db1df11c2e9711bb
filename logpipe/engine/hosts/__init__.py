"""What the engine offers to plugins: `host` for all, `kinds` for each kind, with the plugins that they belong to."""
