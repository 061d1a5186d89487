"""One promptable 3D network: image, interactions and words in, logits out.

`image` is run once per volume and level; `prompt` re-runs for each prompt on what `image` found; `text` turns words
into queries and context. `model` holds the three together, `preprocess` brings volumes and prompts onto its grids.
"""
