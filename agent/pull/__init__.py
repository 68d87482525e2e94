"""The pull sink: Prometheus asks, we collect and render."""
