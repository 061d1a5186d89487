"""Run under torchrun: two processes train a tiny network together; each writes what it ended with."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from osirix_agent.training.base import add_text_lora, new_network
from osirix_agent.training.loop import on_cases, run
from tests.tiny import RECIPE
from tests.training.test_training import CASE

encoder, folder = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
network = new_network(RECIPE, encoder)
add_text_lora(network, RECIPE.text_lora_rank)
trained = [p for p in network.parameters() if p.requires_grad]
run(RECIPE, network, trained, on_cases(RECIPE, network, [CASE], RECIPE.structures), folder / "work")
rank = torch.distributed.get_rank()
save_file({n: v.contiguous() for n, v in network.state_dict().items()}, folder / f"{rank}.safetensors")
