"""`flowers doctor`: what of the machine, the installation, DIR and the configuration would stop or spoil a run.

One file a subject, each a few functions that return findings and change nothing. `libraries` is a process of its own, so that a
TensorFlow that cannot be imported, or that ends its process, is a finding too. `flowers doctor` prints them all.
"""
