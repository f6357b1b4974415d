"""The TFX component that looks at the source where the DAG was built without a look at it."""
