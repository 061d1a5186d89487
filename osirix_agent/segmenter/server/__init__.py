"""A segmenter on this machine that answers agents on others: `osirix-agent serve`."""
