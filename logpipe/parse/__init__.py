"""`<parse>`: the settings that every parser has, and the base of those that find fields in a line. plugin/parser.rb."""
