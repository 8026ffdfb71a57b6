"""The atlas (see ``example``) as a site that each contender runs: its settings, and what stands in where it must."""
