"""Events of CloudWatch Logs.

options.py  settings: who sends, where events go, what becomes of them
events.py   a record's log event: group, stream, time, message
logs.py     requests: events, groups, streams
"""
