"""The stream to an aggregator: what is collected goes through a spool on disk, and from there over gRPC."""
