"""The command line: what a person at a terminal asks of an archive, and what sets up a Prefect server.

Prefect is loaded only by ``setup``, and where a saved block is asked for.
"""
