"""Events that failed: the `queue` to `@ERROR`, and `letters` as lines of JSON, with the files they are kept in."""
