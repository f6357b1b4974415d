"""DataGate: stops the run before any training if the data is not fit for it.

`verdict` judges, `component` is the TFX component.
"""
