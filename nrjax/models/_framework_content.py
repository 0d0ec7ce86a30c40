"""The content of objects of frameworks: weights, hooks and attributes, without counters and caches."""

# pyright: reportMissingImports=false

import dataclasses
import io
import sys
import warnings
import zipfile
from typing import Any

from nrjax.models._code import Content

HOOKS = ("_forward_pre_hooks", "_forward_hooks")
TORCH_BOOKKEEPING = (
    "training", "_parameters", "_buffers", "_modules", *HOOKS, "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_backward_hooks", "_backward_pre_hooks",
    "_is_full_backward_hook", "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks", "_non_persistent_buffers_set",
)  # fmt: skip
FINAL = b" : Final["  # a constant of a class in code of TorchScript
NO_CONTENT = ".py", ".debug_pkl", "serialization_id"  # files of an archive of TorchScript


def framework_content(thing: object) -> Content | None:
    """The content of an object of PyTorch, Keras, Flax or nrjax; None for all others."""
    for package, read in _READERS.items():
        framework = sys.modules.get(package)  # an object of it exists only where it is imported
        content = read(thing, framework) if framework is not None else None
        if content is not None:
            return content
    return None


def hooks_of_all_modules() -> list[Any]:
    """Hooks of PyTorch that run for every module."""
    modules = sys.modules["torch.nn.modules.module"]
    return [list(getattr(modules, f"_global{name}", {}).values()) for name in HOOKS]


def _nrjax(thing: Any, models: Any) -> Content | None:
    if not isinstance(thing, models.Model):
        return None
    return ["model", thing.inputs.preprocessing], [type(thing).__name__, *thing.parts()]


def _torch(thing: Any, torch: Any) -> Content | None:
    if isinstance(thing, torch.Tensor):
        return _tensor(thing, torch)
    if not isinstance(thing, torch.nn.Module):
        return None
    if isinstance(thing, torch.jit.ScriptModule):
        return _torch_script(thing, torch)
    if hasattr(thing, "_orig_mod"):  # a module that torch.compile made
        return ["compiled"], [thing._orig_mod]
    attributes = {key: value for key, value in vars(thing).items() if key not in TORCH_BOOKKEEPING}
    hooks = [  # in their order, without the numbers that PyTorch gives them
        [hook, number in getattr(thing, f"{name}_with_kwargs", ())]
        for name in HOOKS for number, hook in getattr(thing, name).items()
    ]  # fmt: skip
    return ["torch"], [type(thing), attributes, hooks, thing._parameters, thing._buffers, thing._modules]


def _torch_script(thing: object, torch: Any) -> Content:
    """The files of its archive, without the places that its code came from and a serial number."""
    file = io.BytesIO()
    torch.jit.save(thing, file)
    with zipfile.ZipFile(file) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in sorted(archive.namelist())}
    # Constants of a class come in the order of a set, so they are sorted apart from the other lines.
    sources = {name: data.splitlines() for name, data in files.items() if name.endswith(".py")}
    code = {
        name: [sorted(line for line in lines if FINAL in line), [line for line in lines if FINAL not in line]]
        for name, lines in sources.items()
    }
    return ["TorchScript"], [code, {name: data for name, data in files.items() if not name.endswith(NO_CONTENT)}]


def _tensor(thing: Any, torch: Any) -> Content:
    tensor = thing.detach()
    if hasattr(tensor, "__tensor_flatten__"):  # several tensors in one, as those of torchao
        names, settings = tensor.__tensor_flatten__()
        inner = [getattr(tensor, name) for name in names]
        return [f"tensor {type(tensor).__qualname__} {tuple(tensor.shape)}", *map(str, names)], [*inner, settings]
    if tensor.is_quantized:
        scale = (tensor.q_scale(), tensor.q_zero_point()) if tensor.qscheme() == torch.per_tensor_affine else (
            tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points())  # fmt: skip
        return [f"quantised {tensor.dtype}"], [tensor.int_repr(), *scale]
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    flat = tensor.cpu().contiguous().reshape(-1)
    return [f"tensor {tensor.dtype} {tuple(tensor.shape)}"], [flat.view(torch.uint8).numpy() if len(flat) else None]


def _keras(thing: Any, keras: Any) -> Content | None:
    if isinstance(thing, keras.Variable):
        return ["variable"], [thing.value]
    if isinstance(thing, (keras.random.SeedGenerator, keras.initializers.Initializer)):
        return [f"keras {type(thing).__qualname__}"], []  # seeded by chance, or used in training alone
    if isinstance(thing, keras.KerasTensor):
        return [f"keras tensor {thing.shape} {thing.dtype}"], []
    if not isinstance(thing, keras.layers.Layer):
        return None
    inner = [type(thing), [weight.value for weight in thing.weights]]
    functional = isinstance(thing, keras.Model) and hasattr(thing, "_nodes_by_depth")
    if functional or type(thing) is keras.Sequential:
        with warnings.catch_warnings(action="ignore"):  # advice not to save functions
            config = thing.get_config() | {"name": ""}  # numbered within a process
        return ["keras model"], [*inner, config, thing.layers]
    machinery = vars(keras.layers.Layer()).keys() | {"_seed_generators"}
    return ["keras layer"], [*inner, {key: value for key, value in vars(thing).items() if key not in machinery}]


def _linen(thing: Any, linen: Any) -> Content | None:
    """A module by its fields; its other attributes are counters, and what it is bound to."""
    if not isinstance(thing, linen.Module):
        return None
    names = [field.name for field in dataclasses.fields(thing) if field.name != "parent"]
    fields = {name: getattr(thing, name, None) for name in names}
    return ["linen"], [type(thing), fields]


_READERS = {"nrjax.models._model": _nrjax, "torch": _torch, "keras": _keras, "flax.linen": _linen}
