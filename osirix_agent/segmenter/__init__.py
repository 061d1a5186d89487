"""From a request (image and prompts) to a belief: one protocol, several segmenters."""
