"""Kernel files as typed structs. One module per file or subject; ``parse_x`` is pure, ``read_x`` is a thin shell."""
