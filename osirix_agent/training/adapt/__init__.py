"""Learning from the log: accepted contours and their prompts become an adapter, if it proves itself."""
