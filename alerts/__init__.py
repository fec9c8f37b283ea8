"""Rules over archived days, the alerts that follow from them, and the report of a run. No Prefect in here."""
