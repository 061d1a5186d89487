"""Folders of public models, small enough to make in a test, by the classes of the packages that load the real ones."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch

PATCH = 64
NON_COMMERCIAL = "CC BY-NC-SA 4.0\nhttps://creativecommons.org/licenses/by-nc-sa/4.0/\n"


def _network(stages: int, widths: list[int]) -> dict[str, Any]:
    return {
        "n_stages": stages,
        "features_per_stage": widths,
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "n_blocks_per_stage": [1] * stages,
        "n_conv_per_stage_decoder": [1] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def plans(stages: int, widths: list[int]) -> dict[str, Any]:
    """nnU-Net's plans.json, as far as inference reads it."""
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        "arch_kwargs": _network(stages, widths),
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    return {
        "dataset_name": "Dataset001_Tiny",
        "plans_name": "nnUNetPlans",
        "configurations": {
            "3d_fullres": {
                "patch_size": [PATCH] * 3,
                "spacing": [1, 1, 1],
                "batch_size": 1,
                "architecture": architecture,
            }
        },
    }


def write_plain(folder: Path, licence: str | None = NON_COMMERCIAL) -> Path:
    """The files of an nnInteractive folder, with a checkpoint that holds no network: enough to be found."""
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans(2, [2, 4])))
    labels = {"channel_names": {"0": "image"}, "labels": {"background": 0, "object": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(labels))
    (folder / "inference_info.json").write_text(json.dumps({"inference_class": "nnInteractiveInferenceSession"}))
    torch.save({}, folder / "fold_0" / "checkpoint_final.pth")
    if licence is not None:
        (folder / "LICENSE").write_text(licence)
    return folder


def write_nninteractive(folder: Path) -> Path:
    """A network with random weights, saved with what nnU-Net's trainer keeps beside them."""
    import numpy as np
    from nnInteractive.trainer.nnInteractiveTrainer import nnInteractiveTrainer_stub as trainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    write_plain(folder)
    manager = PlansManager(json.loads((folder / "plans.json").read_text()))
    torch.manual_seed(0)
    network = trainer.build_network_architecture(manager, manager.get_configuration("3d_fullres"), 8, 2, False)
    with torch.no_grad():  # little is found, so that the session does not look further and further afield
        network.decoder.seg_layers[-1].bias += torch.tensor([0.6, -0.6])
    checkpoint = {
        "network_weights": network.state_dict(), "trainer_name": "nnInteractiveTrainer_stub", "current_epoch": 3,
        "init_args": {"configuration": "3d_fullres", "device": torch.device("cpu")}, "_best_ema": np.float64(0.5),
        "logging": {"train_losses": [np.float32(0.1)]},
    }  # fmt: skip
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


SMALL_VOXTELL = {"text_embedding_dim": 16, "num_heads": 2, "query_dim": 16, "project_to_decoder_hidden_dim": 16}


def small_voxtell() -> Any:
    """VoxTell's network class at a size for tests; the predictor fixes the published one's."""
    from voxtell.model.voxtell_model import VoxTellModel

    class Small(VoxTellModel):
        TRANSFORMER_NUM_HEADS = 2
        TRANSFORMER_NUM_LAYERS = 1
        DECODER_CONFIGS = {n: {"channels": 4, "shape": (PATCH >> n,) * 3} for n in range(6)}  # noqa: RUF012

        def __init__(self, **given: Any) -> None:
            super().__init__(**{**given, **SMALL_VOXTELL})

    return Small


def write_voxtell(folder: Path, bank: bool = True, encoder: bool = True) -> Path:
    """As published: a folder with the model in it, beside it the list of embedded words and the text encoder."""
    model = folder / "voxtell_v1.1"
    (model / "fold_0").mkdir(parents=True)
    (model / "plans.json").write_text(json.dumps(plans(6, [4] * 6)))
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    torch.manual_seed(0)
    kwargs = _network(6, [4] * 6) | {
        "conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU,
    }  # fmt: skip
    network = small_voxtell()(input_channels=1, num_maskformer_stages=5, deep_supervision=False, **kwargs)
    torch.save({"network_weights": network.state_dict()}, model / "fold_0" / "checkpoint_final.pth")
    if bank:
        (folder / "embeddings" / "voxtell_v1.1").mkdir(parents=True)
        write_bank(folder / "embeddings" / "voxtell_v1.1" / "text_embeddings.npz")
    if encoder:
        write_words(folder / "Qwen3-Embedding-tiny")
    return folder


def write_bank(path: Path) -> None:
    """Embedded words: the first number tells left from right."""
    import numpy as np

    words = np.array(["gtv", "left parotid", "right parotid"])
    vectors = np.random.default_rng(1).normal(size=(3, 16)).astype(np.float16)
    vectors[:, 0] = [0, 1, -1]
    np.savez(path, labels=words, embeddings=vectors)


def write_words(folder: Path) -> None:
    """A text encoder of the published one's kind, with a tokeniser of letters."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

    letters = {"[PAD]": 0, "[UNK]": 1} | {chr(c): c - 30 for c in range(32, 127)}
    tokenizer = Tokenizer(WordLevel(letters, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Split("", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=128, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8,
    )  # fmt: skip
    Qwen3Model(config).save_pretrained(folder)


def write_sam(folder: Path, kind: str = "sam2") -> Path:
    """A model of the family with random weights."""
    torch.manual_seed(0)
    (_tiny_sam2() if kind == "sam2" else _tiny_sam()).save_pretrained(folder)
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n")
    return folder


def _tiny_sam() -> Any:
    from transformers import SamConfig, SamModel

    vision = {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 8, "window_size": 0, "global_attn_indexes": [0], "num_pos_feats": 8, "mlp_dim": 16,
    }  # fmt: skip
    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4}
    masks = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    return SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=masks))


def _tiny_sam2() -> Any:
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[64, 64], blocks_per_stage=[1, 1, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2], global_attention_blocks=[],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=16,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )  # fmt: skip
    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    masks = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    return Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=masks))


def write_lora(folder: Path, base: Path, strength: float = 0.5, layers: str = "(q_proj|v_proj)") -> Path:
    """A LoRA adapter as peft saves it, with random factors."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForMaskGeneration

    network = AutoModelForMaskGeneration.from_pretrained(base, local_files_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # between transformers and peft
        made = get_peft_model(network, LoraConfig(r=2, target_modules=rf".*mask_decoder.*{layers}"))
    torch.manual_seed(4)
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            weight.data += strength * torch.randn_like(weight)
    made.save_pretrained(folder)
    return folder
