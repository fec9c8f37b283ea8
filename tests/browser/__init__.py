"""The Prefect UI, as a user has it, in a real browser."""
