"""What more than one package must agree on: the records, names of files, hashes, how a process ends, where a run leaves things.

Every package may import this one; it imports none of them.
"""
