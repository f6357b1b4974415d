"""How a run that is compiled before it starts takes a registered backbone: `starting_point` looks it up when the run starts,
`starting_backbone` copies it. On this machine both are done before the DAG is built (pipeline/local.py)."""
