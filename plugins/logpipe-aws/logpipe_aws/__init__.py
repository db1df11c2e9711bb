"""Outputs to Amazon's services, and to those that speak S3.

credentials.py  who sends: keys, roles, and the services that give keys out; command_keys.py: a command that does
service.py      signed requests to one service
s3/             objects: their settings, their keys, their content; the bucket
cloudwatch/     log events: their settings, what they are made of; requests
out_s3.py       puts chunks into objects; out_cloudwatch_logs.py: sends events
"""
