"""Interactive, uncertainty-aware contouring inside OsiriX.

Research software, not a medical device.
"""

__version__ = "0.1.0"
