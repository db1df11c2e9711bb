"""Objects of S3.

options.py  settings: the bucket and the way to it, objects
keys.py     what an object is called
content.py  what is in it, as `store_as` says
bucket.py   requests: whether there is a bucket or an object, and to make one
"""
