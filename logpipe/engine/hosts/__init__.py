"""What the engine offers to plugins: `host` for all, `kinds` for each kind; `stage` is a plugin with its host."""
