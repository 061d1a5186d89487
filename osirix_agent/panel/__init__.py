"""The companion page: the running agent in a browser on the same machine."""
