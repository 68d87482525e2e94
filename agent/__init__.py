"""Headroom: the node agent that knows how far a node is from evicting pods."""

__version__ = "0.1.0"
