"""Runs a compiled pipeline on this machine, task by task, by the commands that Vertex AI's containers would run.

`specification` reads the file, `walk` goes through its DAG, `task` runs one task, `storage` puts folders in the place of buckets
and sees what is written where, `containers` runs commands inside an image, `custom_job` stands in for the service that starts
training jobs.
"""
