"""Events that failed: the `queue` to `@ERROR`, `letters` as lines of JSON, and the `files` they are kept in."""
