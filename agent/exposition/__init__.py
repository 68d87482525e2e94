"""Batches as text: Prometheus 0.0.4 and OpenMetrics 1.0, and the choice between them."""
