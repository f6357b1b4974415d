"""Runs a compiled pipeline on this machine, task by task, by the commands that Vertex AI's containers would run.

`specification` reads the file, `task` runs its tasks in order, `storage` replaces buckets by folders and detects what is written
where, `containers` runs commands inside an image, `custom_job` replaces the service that starts training jobs.
"""
