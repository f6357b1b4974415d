"""The command line, `flowers`: one file a verb, with its arguments and its action together."""
