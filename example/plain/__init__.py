"""The same project with Everfresh taken out: what the demo compares with."""
