"""A pretended GPU: tensors that say they are on one, are computed on the processor, and keep the rules of a real one.

What would fail there fails here: tensors of two devices in one operation or kernel, and arrays made of tensors that the
host cannot read. Whenever the host waits for a number, that is counted.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import warp as wp
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from gainer_ns.gaussians import kernels, prefilter

DEVICE = torch.device("meta")
"""Its name: for others than this, torch would look for a driver."""
_COPIES = ("_to_copy", "copy_")
_FACTORIES = ("tensor", "as_tensor", "zeros", "ones", "empty", "full", "arange", "eye", "linspace", "rand", "randn")
_READ_BACK = (
    "_local_scalar_dense",
    "nonzero",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "masked_select",
    "bincount",
)
_PACKAGE = str(Path(kernels.__file__).parents[1])


class PretendedTensor(torch.Tensor):
    """A tensor on the pretended GPU.

    Attributes:
        host: The same on the processor.
    """

    host: torch.Tensor

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> PretendedTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, host.shape, host.stride(), host.storage_offset(), dtype=host.dtype, device=DEVICE
        )
        made.host = host
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"pretended({self.host})"

    def __deepcopy__(self, memo: object) -> PretendedTensor:
        return PretendedTensor(self.host.clone())

    def tolist(self) -> Any:
        return _GPU.current.read(self.host.tolist(), "tolist")

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert a tensor on the GPU to numpy")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatched(func, args, kwargs or {})


class _GPU(TorchFunctionMode):
    """Makes tensors there, and counts how often the host waits."""

    current: _GPU
    device = DEVICE

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def read(self, value: Any, what: str) -> Any:
        """Count that the host waited for a value, by where it did."""
        frames = [each for each in traceback.extract_stack() if each.filename.startswith(_PACKAGE)]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "test"
        self.waits[f"{what} {place}"] += 1
        return value

    def put(self, value: Any) -> Any:
        """Copy tensors to the device, those in lists too."""
        return tree_map(lambda each: PretendedTensor(each.detach().clone()) if _is_plain(each) else each, value)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name == "to":
            return self._moved(args, kwargs)
        if name == "new_tensor" and isinstance(args[0], PretendedTensor):
            return self.put(torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)))
        if name == "__set__" and isinstance(args[0], PretendedTensor):
            func(*args)
            args[0].host = args[1].host
            return None
        if name == "tolist" and isinstance(args[0], PretendedTensor):
            return self.read(args[0].host.tolist(), "tolist")
        if name == "where" and len(args) == 3:  # whose numbers are put on the device before anything is dispatched
            kind = next((each.dtype for each in args[1:] if isinstance(each, torch.Tensor)), None)
            args = [torch.tensor(each, dtype=kind) if isinstance(each, int | float) else each for each in args]
        if name in ("__getitem__", "__setitem__"):  # lists would become tensors on the device before that
            chosen = args[1] if isinstance(args[1], tuple) else (args[1],)
            chosen = tuple(torch.tensor(each) if isinstance(each, list) else each for each in chosen)
            value = [torch.tensor(each) if isinstance(each, int | float) else each for each in args[2:]]
            args = [args[0], chosen, *value]
        if name == "embedding_bag" and args[0].dim() == 2 and isinstance(args[0], PretendedTensor):
            bags, weights = args[0], kwargs.get("per_sample_weights")  # torch would put the offsets on the device
            flat = None if weights is None else weights.reshape(-1)
            offsets = self.put(torch.arange(0, bags.numel(), bags.shape[1]))
            kwargs |= {"offsets": offsets, "per_sample_weights": flat}
            args = [bags.reshape(-1), *args[1:]]
        device = kwargs.get("device")
        if device is not None and (name in _FACTORIES or torch.device(device).type == DEVICE.type):
            there = torch.device(device).type == DEVICE.type
            if name == "as_tensor" and isinstance(args[0], torch.Tensor):
                return self._moved(args, kwargs)
            made = func(*args, **{**kwargs, "device": "cpu"})
            return self.put(made) if there else made
        return func(*args, **kwargs)

    def _moved(self, args: Any, kwargs: dict[str, Any]) -> Any:
        tensor, *rest = args
        device, dtype = kwargs.get("device"), kwargs.get("dtype")
        for each in rest:
            if isinstance(each, torch.Tensor):
                device, dtype = each.device, each.dtype
            elif isinstance(each, str | torch.device):
                device = each
            elif isinstance(each, torch.dtype):
                dtype = each
        device = tensor.device if device is None else torch.device(device)
        dtype = tensor.dtype if dtype is None else dtype
        if device.type == tensor.device.type and dtype == tensor.dtype:
            return tensor
        if device.type == DEVICE.type and not isinstance(tensor, PretendedTensor):
            return self.put(tensor.to(dtype=dtype))
        return torch.ops.aten._to_copy(tensor, dtype=dtype, device=device)


def _is_plain(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not isinstance(value, PretendedTensor)


def _dispatched(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute on the processor what was asked of the GPU, if that could."""
    name, wrappers = func.overloadpacket.__name__, {}

    def unwrapped(value: Any) -> Any:
        if isinstance(value, PretendedTensor):
            wrappers[id(value.host)] = value
            return value.host
        return value

    tensors: list[torch.Tensor] = []
    tree_map(lambda each: tensors.append(each) if isinstance(each, torch.Tensor) else None, (args, kwargs))
    there = any(isinstance(each, PretendedTensor) for each in tensors)
    inner_args, inner_kwargs = tree_map(unwrapped, (args, kwargs))
    target = kwargs.get("device")
    to_host = name == "_to_copy" and target is not None and torch.device(target).type == "cpu"
    if there and name not in _COPIES:
        checked = tensors[:1] if name in ("index", "index_put_", "index_put", "_index_put_impl_") else tensors
        if any(_is_plain(each) and each.dim() > 0 for each in checked):
            raise RuntimeError(f"{name}: tensors on two devices")
    if "device" in inner_kwargs:
        inner_kwargs["device"] = torch.device("cpu")
    inner_kwargs.pop("pin_memory", None)
    gives_host = to_host or (name == "copy_" and _is_plain(args[0]))
    if there and _waits(name, args, kwargs, gives_host=gives_host):
        _GPU.current.read(None, name)
    found = func(*inner_args, **inner_kwargs)
    if name == "copy_":
        return args[0]
    if to_host or not (there or (target is not None and torch.device(target).type == DEVICE.type)):
        return found

    def wrapped(value: Any) -> Any:
        if not _is_plain(value):
            return value
        return wrappers[id(value)] if id(value) in wrappers else PretendedTensor(value)

    return tree_map(wrapped, found)


def _waits(name: str, args: Any, kwargs: dict[str, Any], *, gives_host: bool) -> bool:
    """Return whether the host has to wait for the result of an operation, if only to know how long it is."""
    if gives_host or name in _READ_BACK:
        return True
    if name == "repeat_interleave":
        return kwargs.get("output_size") is None
    if name == "index":
        return any(each is not None and each.dtype == torch.bool for each in args[1])
    if name in ("index_put_", "index_put"):
        return args[2].numel() > 1 and any(each is not None and each.dtype == torch.bool for each in args[1])
    return False


class _Inline(Executor):
    """Does work where it is given, since what pretends holds for one thread."""

    def __init__(self, *options: Any) -> None:
        pass

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


WITHOUT_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=WITHOUT_GPU)])
def gpu(request: pytest.FixtureRequest) -> Any:
    """Return a pretended GPU, and a real one where there is one, whose waits nobody counts."""
    if request.param == "cuda":
        return SimpleNamespace(device=torch.device("cuda"), waits=Counter())
    return request.getfixturevalue("pretended_gpu")


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pretend that there is a GPU: ``waits`` of it counts, by place, how often the host waited."""
    from_torch, launch, struct, devices = wp.from_torch, kernels.launch, kernels.struct, {}

    def check(inputs: Any, device: torch.device) -> None:
        for each in inputs:
            if isinstance(each, kernels.Typed) and each.tensor.device.type != device.type and each.tensor.numel():
                raise RuntimeError(f"a kernel on {device} is given a tensor on {each.tensor.device}")
            if id(each) in devices and devices[id(each)][1] != device.type:
                raise RuntimeError(f"a kernel on {device} is given a struct on {devices[id(each)][1]}")

    def checked_launch(kernel: Any, count: int, inputs: Any, device: torch.device, **options: Any) -> None:
        if count:
            check(inputs, device)
        launch(kernel, count, inputs, torch.device("cpu"), **options)

    def checked_struct(kind: Any, **values: Any) -> Any:
        filled = struct(kind, **values)
        kinds = {each.tensor.device.type for each in values.values() if isinstance(each, kernels.Typed)}
        if len(kinds) > 1:
            raise RuntimeError("a struct holds tensors of two devices")
        devices[id(filled)] = filled, kinds.pop() if kinds else "cpu"
        return filled

    started = kernels.Repeated.__init__

    def checked_start(self: Any, kernel: Any, inputs: Any, device: torch.device, **options: Any) -> None:
        check(inputs, device)
        started(self, kernel, inputs, torch.device("cpu"), **options)

    monkeypatch.setattr(wp, "from_torch", lambda tensor, *a, **k: from_torch(getattr(tensor, "host", tensor), *a, **k))
    monkeypatch.setattr(wp, "device_from_torch", lambda device: "cpu")
    monkeypatch.setattr(kernels.Repeated, "__init__", checked_start)
    monkeypatch.setattr(prefilter, "ThreadPoolExecutor", _Inline)
    kernels.start_warp()
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("gainer_"):
            for name, old, new in (("launch", launch, checked_launch), ("struct", struct, checked_struct)):
                if getattr(module, name, None) is old:
                    monkeypatch.setattr(module, name, new)
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # or parameters would stay what they were
    pretended = _GPU.current = _GPU()
    with pretended:
        yield pretended
    torch.__future__.set_overwrite_module_params_on_conversion(False)
