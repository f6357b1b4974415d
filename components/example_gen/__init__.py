"""ExampleGen: photographs from any source become TFRecords, divided into train and eval, with a report of what was found.

`source` inspects and opens a source, `folder` and `data_set` are the kinds of source, `photograph` checks and normalises one
image, `normalise` does so with what a source's elements describe, on threads or in `processes`, `division` divides, `records` is
the Beam pipeline, `report` the ingest report, `component` the TFX component.
"""
