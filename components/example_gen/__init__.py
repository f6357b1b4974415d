"""ExampleGen: photographs from any source become TFRecords, divided into train and eval, with a report of what was found.

`source` says what there is and whether it can be used, `photograph` checks and normalises one image, `near_duplicates` and
`splits` divide, `records` is the Beam pipeline, `component` the TFX component. The pipeline needs `source.inspect` (before the
DAG is built), `source.ingest_settings` and `component.FlowersExampleGen`.
"""
