"""What an archived day is: keys, parts, manifests, the store they lie in, verification and reading back. Knows no Prefect."""
