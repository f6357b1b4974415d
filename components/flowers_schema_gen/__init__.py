"""SchemaGen: a schema that states what an example must be, instead of inferring it from what happened to be there.

`schema` builds it from the train statistics, `component` is the TFX component, `statistics` the options for StatisticsGen.
"""
