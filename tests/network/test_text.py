"""Words: what the rules read, and what the pruned encoder keeps."""

import pytest
import torch

from osirix_agent.network.text import Kind, Phrase, Side, TextTower, prune


@pytest.mark.parametrize(
    ("text", "side", "kind"),
    [
        ("Parotid_L", Side.LEFT, Kind.ORGAN),
        ("right parotid gland", Side.RIGHT, Kind.ORGAN),
        ("parotid on the Rt", Side.RIGHT, Kind.ORGAN),
        ("both parotids", Side.BOTH, Kind.ORGAN),
        ("SpinalCord", Side.NONE, Kind.ORGAN),
        ("PTV70", Side.NONE, Kind.TARGET),
        ("gross tumour volume", Side.NONE, Kind.LESION),
        ("GTVp", Side.NONE, Kind.TARGET),
        ("", Side.NONE, Kind.OTHER),
        ("耳下腺 ???", Side.NONE, Kind.OTHER),
    ],
)
def test_side_and_kind_are_read_by_rule(text, side, kind):
    phrase = Phrase.read(text)
    assert (phrase.side, phrase.kind) == (side, kind)


def test_pruning_keeps_the_embedding_of_kept_words(tiny_encoder):
    from transformers import BertModel

    config, vocabulary, state = prune(tiny_encoder, ["left parotid"], layers=2)
    tower = TextTower(config, vocabulary, 8).eval()
    tower.bert.load_state_dict(state)
    full = BertModel.from_pretrained(tiny_encoder, add_pooling_layer=False).eval()
    everything = (tiny_encoder / "vocab.txt").read_text().splitlines()
    words = ["[CLS]", "left", "parotid", "[SEP]"]
    with torch.inference_mode():
        ours = tower.bert(input_ids=torch.tensor([[vocabulary.index(w) for w in words]])).last_hidden_state
        theirs = full(input_ids=torch.tensor([[everything.index(w) for w in words]])).last_hidden_state
    torch.testing.assert_close(ours, theirs)
    assert len(vocabulary) < len(everything)


@pytest.mark.parametrize("text", ["left parotid", "x" * 10_000, "", "über die Brücke", "? ! ?"])
def test_any_text_has_a_query(tiny_encoder, text):
    config, vocabulary, state = prune(tiny_encoder, ["left parotid"], layers=1)
    tower = TextTower(config, vocabulary, 8).eval()
    tower.bert.load_state_dict(state)
    with torch.inference_mode():
        queries = tower([Phrase.read(text), Phrase.read("cord")])
    assert queries.shape == (2, 8)
    assert torch.isfinite(queries).all()


def test_a_phrase_has_the_same_query_in_any_company(tiny_encoder):
    config, vocabulary, state = prune(tiny_encoder, ["left parotid"], layers=1)
    tower = TextTower(config, vocabulary, 8).eval()
    tower.bert.load_state_dict(state)
    with torch.inference_mode():
        alone = tower([Phrase.read("cord")])
        beside = tower([Phrase.read("a much longer phrase about the left parotid"), Phrase.read("cord")])
    torch.testing.assert_close(alone[0], beside[1], atol=1e-5, rtol=1e-4)
