"""From a tag to its outlet.

`router` keeps one compiled `chain` of filters for each tag, found by `tag_pattern`, and looks at
what filters return; `gate` keeps the order behind a filter that holds events back.
"""
