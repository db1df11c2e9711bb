"""From a tag to its outlet.

`router` keeps one compiled `chain` of filters for each tag, found by `tag_pattern`; `checked` looks at what a filter
returned, `gate` keeps the order behind a filter that holds events back.
"""
