"""Folders of public models: what is refused, what is said of their licence, and that nothing in them runs."""

import json
import os
import warnings

import numpy as np
import pytest
import torch

from osirix_agent import doctor
from osirix_agent.errors import ModelError, SettingsError
from osirix_agent.segmenter import folder as folders
from osirix_agent.segmenter.choice import make_segmenter
from osirix_agent.segmenter.folder import find_model, only_weights, read_licence
from osirix_agent.settings import Settings
from tests.public import write_lora, write_plain, write_sam


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(folders, "is_installed", lambda module: True)


@pytest.mark.parametrize(
    ("name", "text", "said", "commercial"),
    [
        ("LICENSE", "CC BY-NC-SA 4.0\nhttps://...", "CC BY-NC-SA 4.0, NON-COMMERCIAL USE ONLY", False),
        ("LICENSE.txt", "\n   Apache License\n  Version 2.0, January 2004\n", "Apache-2.0", True),
        ("LICENSE", "MIT License\n\nCopyright", "MIT", True),
        ("LICENCE", "Ours\nfor research purposes only.", "for research purposes only., NON-COMMERCIAL USE ONLY", False),
        ("LICENSE", "SAM License\nLast Updated", "SAM License", None),
        ("README.md", "---\nlicense: apache-2.0\n---\n# A model", "Apache-2.0", True),
        ("README.md", "---\nlicense: other\nlicense_name: house-rules\n---", "house-rules", None),
        ("README.md", "---\nlicense: cc-by-4.0\n---", "CC BY 4.0", True),
        ("card.md", "# A model\n\n## Licence\n\nApache License 2.0.\n", "Apache-2.0", True),
        ("README.md", "---\nlicense: cc-by-nc-4.0\n---", "cc-by-nc-4.0, NON-COMMERCIAL USE ONLY", False),
        ("README.md", "# A model of which nothing is said", "licence unknown", None),
        ("weights.bin", "MIT License", "licence unknown", None),
    ],
)
def test_the_licence_is_read(tmp_path, name, text, said, commercial):
    (tmp_path / name).write_text(text)
    licence = read_licence(tmp_path)
    assert (str(licence), licence.commercial) == (said, commercial)
    assert licence.remark.endswith(".")


def test_one_word_of_restriction_outweighs_a_permissive_file(tmp_path):
    (tmp_path / "LICENSE").write_text("Apache License\nVersion 2.0")
    (tmp_path / "README.md").write_text("Code: Apache-2.0.\nThe weights are for non-commercial use.\n")
    assert read_licence(tmp_path).commercial is False
    assert "non-commercial" in read_licence(tmp_path).text


def test_the_first_nninteractive_came_without_a_licence_file_and_is_known(tmp_path, installed):
    described = json.loads((write_plain(tmp_path / "m", licence=None) / "plans.json").read_text())
    assert find_model("nninteractive", tmp_path).licence.commercial is None
    described["dataset_name"] = "Dataset225_nnInteractiveV2"
    (tmp_path / "m" / "plans.json").write_text(json.dumps(described))
    assert find_model("nninteractive", tmp_path).licence.commercial is False


@pytest.mark.parametrize(
    "missing", ["plans.json", "dataset.json", "inference_info.json", "fold_0/checkpoint_final.pth"]
)
def test_a_missing_file_is_named(tmp_path, installed, missing):
    (write_plain(tmp_path / "m") / missing).unlink()
    with pytest.raises(ModelError, match=missing.split("/")[-1].replace(".", r"\.")) as caught:
        find_model("nninteractive", tmp_path / "m")
    assert caught.value.exit_code == 8
    assert caught.value.cure


def test_one_model_a_folder(tmp_path, installed):
    write_plain(tmp_path / "a")
    assert find_model("nninteractive", tmp_path).folder == tmp_path / "a"
    write_plain(tmp_path / "b")
    with pytest.raises(ModelError, match="2 models"):
        find_model("nninteractive", tmp_path)
    (tmp_path / "a" / "fold_1").mkdir()
    with pytest.raises(ModelError, match="2 folds"):
        find_model("nninteractive", tmp_path / "a")
    with pytest.raises(ModelError, match="--model-dir"):
        find_model("nninteractive", None)


@pytest.mark.parametrize(
    ("kind", "extra"), [("nninteractive", "nninteractive"), ("voxtell", "voxtell"), ("sam", "model")]
)
def test_a_missing_package_names_its_extra(tmp_path, monkeypatch, kind, extra):
    monkeypatch.setattr(folders, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=rf"osirix-agent\[{extra}\]"):
        make_segmenter(Settings(segmenter=kind, model_dir=tmp_path))


def test_plans_may_name_parts_of_networks_only(tmp_path, installed):
    described = json.loads((write_plain(tmp_path / "m") / "plans.json").read_text())
    architecture = described["configurations"]["3d_fullres"]["architecture"]
    parts = {**architecture["arch_kwargs"], "conv_op": "os.system"}
    for change in ({"network_class_name": "subprocess.run"}, {"arch_kwargs": parts}):
        strange = {**described, "configurations": {"x": {"architecture": {**architecture, **change}}}}
        (tmp_path / "m" / "plans.json").write_text(json.dumps(strange))
        with pytest.raises(ModelError, match="no part of a network"):
            find_model("nninteractive", tmp_path)
    (tmp_path / "m" / "plans.json").write_text("[]")
    with pytest.raises(ModelError, match="cannot be read"):
        find_model("nninteractive", tmp_path)


class Trap:
    def __reduce__(self):
        return os.system, ("touch sprung",)


def test_a_pickle_that_would_run_is_refused_whatever_a_package_asks_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"network_weights": {}, "more": Trap()}, "trap.pth")
    with pytest.raises(ModelError, match="could run as a program") as caught, only_weights():
        torch.load("trap.pth", weights_only=False)
    assert "use-a-public-model.md" in caught.value.cure
    assert not (tmp_path / "sprung").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_the_numbers_that_nnunet_keeps_beside_the_weights_are_taken(tmp_path):
    kept = {"_best_ema": np.float64(0.5), "losses": [np.float32(0.25)], "device": torch.device("cpu")}
    torch.save(kept, tmp_path / "c.pth")
    with only_weights():
        assert torch.load(tmp_path / "c.pth", weights_only=False) == kept


def test_pickled_sam_weights_and_adapters_are_refused(tmp_path):
    base = write_sam(tmp_path / "sam2")
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(ModelError, match="save_pretrained"):
        find_model("sam", base)
    (base / "pytorch_model.bin").rename(base / "model.safetensors")
    write_lora(tmp_path / "ours", base)
    assert find_model("sam", tmp_path).adapter == tmp_path / "ours"
    assert "sam2 + ours (" in find_model("sam", tmp_path).name
    write_lora(tmp_path / "theirs", base)
    with pytest.raises(ModelError, match="2 adapters"):
        find_model("sam", tmp_path)
    (tmp_path / "ours" / "adapter_config.json").unlink()
    (tmp_path / "theirs" / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors"):
        find_model("sam", tmp_path)


def test_the_licence_is_shown_at_load_and_by_the_doctor(tmp_path, capsys):
    (write_sam(tmp_path / "sam2") / "LICENSE").write_text("CC BY-NC 4.0")
    settings = Settings(segmenter="sam", model_dir=tmp_path)
    segmenter = make_segmenter(settings)
    assert "NON-COMMERCIAL USE ONLY" in capsys.readouterr().err
    assert "NON-COMMERCIAL USE ONLY" in segmenter.name
    (found,) = doctor._public_model(settings)
    assert (found.good, "NON-COMMERCIAL USE ONLY" in found.detail) == (True, True)
    (found,) = doctor._public_model(settings.model_copy(update={"model_dir": tmp_path / "nowhere"}))
    assert not found.good
    assert found.cure
    assert doctor._public_model(Settings(segmenter="classical")) == []
    with pytest.raises(SettingsError, match="nninteractive, voxtell, sam"):
        make_segmenter(Settings(segmenter="medsam"))


def test_what_is_no_model_of_the_family_is_refused(tmp_path):
    base = write_sam(tmp_path / "sam2")
    described = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**described, "model_type": "bert"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ModelError, match="cannot load"):
            make_segmenter(Settings(segmenter="sam", model_dir=base))
