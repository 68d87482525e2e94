"""Settings: declared once, obeyed from a file, the environment and flags, each value with its origin."""
