"""What the inputs have in common.

`reader` keeps a consumer alive and has one `partition` reader for each partition that it is given; `events` makes
events of messages, `progress` says up to where a partition's events are past a kill -9. Settings: `options`.
"""
