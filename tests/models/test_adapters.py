"""LoRA adapters beside their base: what PEFT itself makes of both; other adapters are refused."""

import json
import shutil

import numpy as np
import pytest

import nrjax
from tests.models import sources

T = sources.texts(12)


@pytest.fixture(scope="module")
def peft():
    pytest.importorskip("transformers", exc_type=ImportError)
    return pytest.importorskip("peft", exc_type=ImportError, reason="peft is not installed")


def save(peft, folder, seed=0, classifier=False, **settings):
    """An adapter of the base in `folder/base`; the network with it, merged by PEFT."""
    import torch
    import transformers

    if not (folder / "base").exists():
        sources.save_bert(folder / "base", 0)
    torch.manual_seed(seed)
    kind = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModel
    network = kind.from_pretrained(folder / "base")
    settings = {"r": 4, "target_modules": ["query", "value", "dense"], "init_lora_weights": False} | settings
    adapted = peft.get_peft_model(network, peft.LoraConfig(**settings))
    adapted.save_pretrained(folder / "lora")
    return adapted.merge_and_unload().eval()


def alone(network, folder, texts=T):
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "base")
    with torch.no_grad():
        return [network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy() for text in texts]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("settings", [{}, {"lora_alpha": 32, "use_rslora": True}, {"target_modules": ["key"], "r": 1}],
                         ids=str)  # fmt: skip
def test_plain_lora(peft, tmp_path, settings):
    network = save(peft, tmp_path, **settings)
    expected = alone(network, tmp_path)
    model = nrjax.load_model(f"hf:{tmp_path / 'lora'}")
    assert np.allclose(nrjax.extract_features(model, T), expected, atol=1e-5)
    base = nrjax.load_model(f"hf:{tmp_path / 'base'}")
    assert np.abs(nrjax.extract_features(base, T) - expected).max() > 1e-3
    assert model.fingerprint != base.fingerprint
    assert {path.parent.name for path in model.files} >= {"base", "lora"}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_of_a_classifier(peft, tmp_path):
    """Its head is left out; paths begin with the name of the base in it."""
    network = save(peft, tmp_path, classifier=True, task_type="SEQ_CLS")
    assert np.allclose(nrjax.extract_features(f"hf:{tmp_path / 'lora'}", T), alone(network.bert, tmp_path), atol=1e-5)


@pytest.fixture(scope="module")
def adapter(peft, tmp_path_factory):
    import warnings

    place = tmp_path_factory.mktemp("adapter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(peft, place)
    return place


REFUSED = {
    "another kind": ({"peft_type": "IA3"}, r"it is an adapter \(IA3\) other than plain LoRA; merge it"),
    "DoRA": ({"use_dora": True}, r"it is an adapter \(use_dora\) other than plain LoRA"),
    "a module": ({"megatron_config": {"a": 1}, "megatron_core": "os"}, r"it is an adapter \(megatron_config\) other"),
    "no rank": ({"r": None}, "adapter_config.json must say r and lora_alpha, two numbers"),
    "no base": (
        {"base_model_name_or_path": "/elsewhere/my model"},
        "adapter of /elsewhere/my model, which is not",
    ),
    "another rank of weights": ({"base_model_name_or_path": "small"}, "and its base has"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(adapter, tmp_path, case):
    change, told = REFUSED[case]
    shutil.copytree(adapter, tmp_path / "all")
    place = tmp_path / "all"
    sources.save_bert(place / "small", 0, hidden_size=8)
    config = json.loads((place / "lora" / "adapter_config.json").read_text())
    (place / "lora" / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=told) as error:
        nrjax.load_model(f"hf:{place / 'lora'}")
    assert "\n" not in str(error.value)


def test_a_pickled_adapter(adapter, tmp_path):
    shutil.copytree(adapter, tmp_path / "all")
    (tmp_path / "all" / "lora" / "adapter_model.safetensors").rename(tmp_path / "all" / "lora" / "adapter_model.bin")
    with pytest.raises(ValueError, match=r"there is no adapter_model\.safetensors, and a pickle is not read"):
        nrjax.load_model(f"hf:{tmp_path / 'all' / 'lora'}")
