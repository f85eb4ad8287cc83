"""Makes the small files beside this one with PyTorch and NumPy themselves; their readers' tests know what is in them.

Ran with torch 1.12.1 (CPU operations only) and numpy 1.26.
"""

import collections
import sys

import numpy as np
import torch

def values():
    base = torch.arange(12, dtype=torch.float32)
    tied = torch.tensor([[1.5, -2.0], [0.25, 8.0]])
    kinds = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
             torch.float16, torch.bfloat16, torch.float32, torch.float64]
    state = collections.OrderedDict(("dtype." + str(k).split(".")[1], torch.tensor([0, 1, 1]).to(k)) for k in kinds)
    state["empty"] = torch.zeros(0, 4)
    state["scalar"] = torch.tensor(-3, dtype=torch.int64)
    return {
        "state_dict": state,
        "views": [base, base[2:8].view(2, 3), base.view(3, 4).t(), base[::5], base[:1].expand(2, 2)],
        "tied": (tied, tied),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, 2.0]), requires_grad=False),
        "trained": torch.nn.Parameter(torch.tensor([3.0])),
        "epoch": 7, "big": 2 ** 40, "negative": -300, "lr": 1e-3, "name": "größe", "none": None, "flags": [True, False],
        "raw": b"\x00\xff", "size": torch.Size([2, 3]), "dtype": torch.float16, "device": torch.device("cuda", 1),
        "nested": {0: {"step": torch.tensor(5.0)}, "deep": {"er": [1, (2, "x")]}},
    }


def main(out):
    torch.save(values(), f"{out}/values.pt")
    torch.save(values(), f"{out}/values_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(values(), f"{out}/values_protocol4.pt", pickle_protocol=4)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    for i, p in enumerate(model.parameters()):
        torch.nn.init.constant_(p, 0.5 * (i + 1))
    torch.save(model.state_dict(), f"{out}/model.pth")
    torch.save(model, f"{out}/whole_model.pth")
    torch.save({"epoch": 1, "model_state_dict": model.state_dict(),
                "optimizer_state_dict": torch.optim.Adam(model.parameters()).state_dict()}, f"{out}/checkpoint.pth")

    x = np.arange(6).reshape(2, 3)
    np.save(f"{out}/fortran.npy", np.asfortranarray(x.astype(">f8")))
    with open(f"{out}/version3.npy", "wb") as f:
        np.lib.format.write_array(f, x.astype("<i2"), version=(3, 0))
    arrays = {"a": x.astype("u4"), "b": np.float16(1.5), "c": np.zeros((0, 2), bool), "d.e": x.astype(">i8")}
    np.savez(f"{out}/arrays.npz", **arrays)
    np.savez_compressed(f"{out}/arrays_deflated.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
