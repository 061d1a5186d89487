"""Measurements that anyone can repeat: `osirix-agent bench`."""
