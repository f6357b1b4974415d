"""How a run that is compiled before it starts takes the registered versions to compare with: `champion` looks them up when the run
comes to LinearEval, `champion_record` hands them over. On this machine they are looked up before the DAG is built (pipeline/local.py)."""
