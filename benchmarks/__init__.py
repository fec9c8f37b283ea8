"""What prefect-deepset costs and keeps, measured beside what people would use instead. See docs/benchmarks.md."""
