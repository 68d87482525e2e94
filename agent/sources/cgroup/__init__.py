"""Control groups: which pods and containers a node has, and what each of them used. cgroup v1 and v2."""
