"""What components and trainer agree on, and nothing else: the records, the content hash and the files of a model.

Both packages import this one; neither imports the other.
"""
