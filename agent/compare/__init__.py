"""``headroom compare``: the same batches by push and by pull, between real processes on this machine."""
