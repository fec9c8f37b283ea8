"""The deepset logs API: a client, and a walk that reads a span of time completely. Knows neither Prefect nor S3."""
