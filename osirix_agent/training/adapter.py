"""Train an adapter: LoRA on a frozen base, for what the base was never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch

from osirix_agent.errors import ModelError
from osirix_agent.model_folder import FORMAT, WEIGHTS, check_sums
from osirix_agent.network.checkpoint import AdapterDescription, load_adapter, load_model, save_adapter
from osirix_agent.network.lora import add_lora, lora_tensors
from osirix_agent.training.cases import Case, train_cases
from osirix_agent.training.examples import DrawRecipe
from osirix_agent.training.loop import first_process, on_cases, run
from osirix_agent.training.phrases import ORGANS, TG263
from osirix_agent.training.step import Recipe


class AdapterRecipe(Recipe):
    """Everything that decides an adapter's weights, with the base it stands on.

    Attributes
    ----------
    structures : names in the data set
    leads, joined : as `AdapterDescription` says
    begun : digest of the weights of the adapter that it was trained further from
    serves : beginnings of structure names that it answers for; an ensemble's members answer for all
    """

    name: str
    data: Literal["openkbp", "sarcoma", "log"]
    structures: tuple[str, ...]
    serves: tuple[str, ...]
    named: tuple[str, ...] = ()
    leads: bool = True
    joined: bool = False
    begun: str = ""
    rank: int = 8
    alpha: int = 16
    steps: int = 3_000
    learning_rate: float = 5e-4
    warm_up: int = 50
    cool_down: int = 1_000
    prompted_share: float = 1.0
    average: float = 0.99


TARGET_HN = AdapterRecipe(
    name="target-hn", data="openkbp", structures=("PTV70", "PTV63", "PTV56"), serves=("PTV",),
    named=("PTV70", "PTV63", "PTV56"), draw=DrawRecipe(lesion_share=0.0, disguise_share=0.0, crop_share=0.0),
)  # fmt: skip
GTV_SARCOMA = AdapterRecipe(
    name="gtv-sarcoma", data="sarcoma", structures=("GTV",), serves=("GTV",), leads=False, joined=True,
    draw=DrawRecipe(lesion_share=0.15, disguise_share=0.1, crop_share=0.0, fine_spacing_mm=(1.8, 4.0)),
)  # fmt: skip
ORGANS_MEMBER = AdapterRecipe(
    name="organs-member", data="openkbp", structures=tuple(ORGANS), serves=("",),  # every name begins so
    named=tuple(TG263.get(name, name) for name in ORGANS), steps=60, warm_up=10, cool_down=20, prompted_share=0.5,
    average=0.9, draw=DrawRecipe(lesion_share=0.0, disguise_share=0.0, crop_share=0.0),
)  # fmt: skip
RECIPES = {recipe.name: recipe for recipe in (TARGET_HN, GTV_SARCOMA, ORGANS_MEMBER)}


def train_adapter(
    recipe: AdapterRecipe,
    base: Path,
    work: Path,
    out: Path,
    version: str,
    cases: list[Case] | None = None,
    further: Path | None = None,
) -> None:
    """Train, or go on where `work` says training stopped, and write the adapter's folder `out`.

    `further`: folder of an adapter of the same rank on the same base, to train that one further.

    Raises
    ------
    ModelError
        A folder is not what it should be; the adapter's rank is another; `work` holds a run that began otherwise.
    """
    model = load_model(base)
    begun = None
    if further is not None:
        described, begun = load_adapter(further, model.digest)
        if (described.rank, described.alpha) != (recipe.rank, recipe.alpha):
            raise ModelError(
                f"The adapter in {further} has rank {described.rank} (alpha {described.alpha}), "
                f"the recipe {recipe.rank} ({recipe.alpha}).",
                "Train one of the recipe's rank further, or begin anew without --further.",
            )
        recipe = recipe.model_copy(update={"begun": check_sums(further)[WEIGHTS]})
    held = work / "recipe.json"
    if held.is_file() and json.loads(held.read_text(encoding="utf-8")).get("begun", "") != recipe.begun:
        raise ModelError(f"{work} holds a run that began from other weights.", "Give another folder with --work.")
    torch.manual_seed(recipe.seed)
    network = model.network
    try:
        trained = add_lora(network, recipe.rank, recipe.alpha, begun)
    except (KeyError, RuntimeError):
        if begun is None:
            raise
        raise ModelError(f"The adapter in {further} does not fit the base's layers.", "Begin anew.") from None
    cases = train_cases(recipe.data) if cases is None else cases
    averaged = run(recipe, network, trained, on_cases(recipe, network, cases, recipe.structures), work)
    if not first_process():
        return
    network.load_state_dict(averaged)
    description = AdapterDescription(
        format=FORMAT, name=recipe.name, version=version, licence="Apache-2.0", base=model.digest, rank=recipe.rank,
        alpha=recipe.alpha, serves=recipe.serves, structures=recipe.named, leads=recipe.leads, joined=recipe.joined,
    )  # fmt: skip
    save_adapter(out, lora_tensors(network), description, recipe.model_dump())
