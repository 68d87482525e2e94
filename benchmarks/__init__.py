"""Measurements beside real peers, in the same run, as ratios. ``make bench`` prints them as a table."""
