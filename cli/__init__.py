"""The command line: what a person at a terminal asks of an archive. Prefect is loaded only where a saved block is asked for."""
