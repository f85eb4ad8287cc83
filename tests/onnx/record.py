"""Records small cases from onnxruntime: models, inputs, and what it computes. Operators of com.microsoft, and options of others
that the cases of ONNX leave out.

    pip install onnx onnxruntime
    python tests/onnx/record.py tests/onnx/data
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"
rng = np.random.default_rng(7)
cases = []


def f(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def case(name, op, inputs, n_outputs=1, outputs=None, constants=(), domain=MS, **attributes):
    """`inputs` by name, None where one is left out; those in `constants` are initialisers."""
    names = [k if v is not None else "" for k, v in inputs.items()]
    outputs = outputs or [f"y{i}" for i in range(n_outputs)]
    node = helper.make_node(op, names, outputs, domain=domain, **attributes)
    given = {k: v for k, v in inputs.items() if v is not None}
    info = lambda k, v: helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
    graph = helper.make_graph(
        [node],
        name,
        [info(k, v) for k, v in given.items() if k not in constants],
        [helper.make_empty_tensor_value_info(o) for o in outputs if o],
        [numpy_helper.from_array(given[k], k) for k in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)])
    model.ir_version = 8
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(None, {k: v for k, v in given.items() if k not in constants})
    folder = target / "node" / name
    data = folder / "test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    # Types of the outputs, which the checker of this domain does not infer.
    del model.graph.output[:]
    model.graph.output.extend(info(o, r) for o, r in zip([o for o in outputs if o], results))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    fed = [k for k in given if k not in constants]
    for role, arrays in [("input", [given[k] for k in fed]), ("output", results)]:
        for i, a in enumerate(arrays):
            (data / f"{role}_{i}.pb").write_bytes(numpy_helper.from_array(np.asarray(a)).SerializeToString())
    cases.append({"name": name, "kind": "node", "op_types": [f"{domain}::{op}" if domain else op], "inputs": [], "outputs": [], "rtol": 1e-3, "atol": 2e-6, "flags": []})


def n_bits(name, k, n, block, bits, zero=None, bias=False):
    blocks = -(-k // block)
    inputs = {
        "a": f(2, 3, k),
        "b": rng.integers(0, 256, (n, blocks, block * bits // 8), dtype=np.uint8),
        "scales": f(n * blocks, scale=0.1),
        "zero_points": None,
        "g_idx": None,
        "bias": f(n) if bias else None,
    }
    constants = ["b", "scales"]
    if zero == "packed":
        inputs["zero_points"] = rng.integers(0, 256, n * -(-blocks * bits // 8), dtype=np.uint8)
        constants.append("zero_points")
    if bias:
        constants.append("bias")
    else:
        del inputs["bias"], inputs["g_idx"]
        if zero is None:
            del inputs["zero_points"]
    case(name, "MatMulNBits", inputs, constants=constants, K=k, N=n, bits=bits, block_size=block, accuracy_level=1)


def rotary_caches(positions, half):
    angles = np.arange(positions)[:, None] / 10000 ** (np.arange(half) / half)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def group_query(name, batch, time, heads, shared, size, held=0, past=0, do_rotary=0, interleaved=0, window=-1, softcap=0.0, packed=False):
    total = held + time
    inputs = {"query": f(batch, time, heads * size), "key": f(batch, time, shared * size), "value": f(batch, time, shared * size)}
    if packed:
        inputs["query"] = np.concatenate(list(inputs.values()), axis=2)
        inputs["key"] = inputs["value"] = None
    for kept in ("past_key", "past_value"):
        inputs[kept] = f(batch, shared, past, size) if past else None
        if past:
            inputs[kept][:, :, held:] = 0
    inputs["seqlens_k"] = np.full(batch, total - 1, np.int32)
    inputs["total"] = np.array(total, np.int32)
    if do_rotary:
        inputs["cos_cache"], inputs["sin_cache"] = rotary_caches(max(total, past) + 4, size // 2)
    case(
        name, "GroupQueryAttention", inputs, n_outputs=3, num_heads=heads, kv_num_heads=shared, do_rotary=do_rotary,
        rotary_interleaved=interleaved, local_window_size=window, softcap=softcap,
    )


def standard():
    """Options of ordinary operators."""
    plain = lambda name, op, inputs, *more, **attributes: case(name, op, inputs, *more, domain="", **attributes)
    rois = np.array([[0, 0, 0, 6, 6], [1, 2, 1, 7, 5], [0, 3, 3, 3, 3]], np.float32)
    plain("max_roi_pool", "MaxRoiPool", {"x": f(2, 3, 8, 8), "rois": rois}, pooled_shape=[2, 3], spatial_scale=1.0)
    plain("max_roi_pool_scaled", "MaxRoiPool", {"x": f(2, 2, 6, 6), "rois": rois}, pooled_shape=[3, 2], spatial_scale=0.5)
    size, hidden, steps, batch = 3, 4, 5, 2
    for gates, op in [(1, "RNN"), (3, "GRU"), (4, "LSTM")]:
        state = {"h": f(2, batch, hidden)}
        if op == "LSTM":
            state |= {"c": f(2, batch, hidden), "p": f(2, 3 * hidden)}
        inputs = {
            "x": f(steps, batch, size), "w": f(2, gates * hidden, size), "r": f(2, gates * hidden, hidden), "b": f(2, 2 * gates * hidden),
            "lengths": np.array([5, 3], np.int32), **state,
        }
        options = {"linear_before_reset": 1} if op == "GRU" else {}
        plain(f"{op.lower()}_both_ways", op, inputs, 3 if op == "LSTM" else 2, hidden_size=hidden, direction="bidirectional", **options)
    plain("gru_clipped", "GRU", {k: v for k, v in zip("xwrb", [f(4, 2, 3), f(1, 12, 3), f(1, 12, 4), f(1, 24)])}, 2, hidden_size=4, clip=0.4,
          activations=["HardSigmoid", "Softsign"], activation_alpha=[0.3], activation_beta=[0.4])
    bytes_ = lambda *shape: rng.integers(0, 256, shape, dtype=np.uint8)
    scale = lambda *shape: (rng.random(shape) * 0.05 + 0.01).astype(np.float32)
    conv = {
        "x": bytes_(1, 2, 5, 5), "xs": np.float32(0.03), "xz": np.uint8(120), "w": rng.integers(-128, 128, (3, 2, 3, 3)).astype(np.int8),
        "ws": scale(3), "wz": np.zeros(3, np.int8), "ys": np.float32(0.4), "yz": np.uint8(128), "b": rng.integers(-500, 500, 3).astype(np.int32),
    }
    conv = {k: np.asarray(v) for k, v in conv.items()}
    fixed = [k for k in conv if k != "x"]
    plain("qlinear_conv", "QLinearConv", conv, constants=fixed, pads=[1, 1, 0, 1], strides=[2, 1])
    plain("max_unpool", "MaxUnpool", {"x": f(1, 1, 2, 2), "at": np.array([[[[5, 7], [13, 15]]]])}, kernel_shape=[2, 2], strides=[2, 2])
    image = f(1, 2, 6, 7)
    none = {"roi": None, "scales": None}
    for mode, coordinates in [("linear", "half_pixel"), ("cubic", "align_corners"), ("nearest", "asymmetric"), ("linear", "pytorch_half_pixel")]:
        plain(f"resize_{mode}_{coordinates}", "Resize", {"x": image, **none, "sizes": np.array([1, 2, 4, 11])}, constants=["sizes"], mode=mode,
              coordinate_transformation_mode=coordinates)
    pools = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1}
    plain("max_pool_places", "MaxPool", {"x": f(2, 2, 7, 6)}, 2, **pools)
    plain("max_pool_columns", "MaxPool", {"x": f(1, 2, 7, 6)}, 2, storage_order=1, kernel_shape=[3, 2], strides=[2, 2])
    plain("average_pool_ceil", "AveragePool", {"x": f(1, 2, 7, 6)}, **pools)
    plain("average_pool_padded", "AveragePool", {"x": f(1, 2, 7, 6)}, count_include_pad=1, **pools)
    for auto in ("SAME_UPPER", "SAME_LOWER"):
        plain(f"conv_{auto.lower()}", "Conv", {"x": f(1, 4, 6, 5), "w": f(6, 2, 3, 2)}, auto_pad=auto, group=2, strides=[2, 1])
        plain(f"conv_transpose_{auto.lower()}", "ConvTranspose", {"x": f(1, 4, 3, 5), "w": f(4, 3, 3, 2), "b": f(6)}, auto_pad=auto, group=2, strides=[2, 1])
    plain("conv_transpose_output", "ConvTranspose", {"x": f(1, 2, 3, 3), "w": f(2, 2, 3, 3)}, strides=[2, 2], output_shape=[6, 7])
    plain("instance_norm_1d", "InstanceNormalization", {"x": f(2, 3, 9), "s": f(3), "b": f(3)})
    plain("gather_nd_batched", "GatherND", {"x": f(2, 3, 4), "at": np.array([[[1], [-1]], [[0], [2]]])}, batch_dims=1)
    plain("scatter_nd_rows", "ScatterND", {"x": f(4, 3), "at": np.array([[-1], [1]]), "u": f(2, 3)})
    plain("top_k_small", "TopK", {"x": f(2, 6), "k": np.array([3])}, 2, largest=0, axis=1)
    plain("einsum_ellipsis", "Einsum", {"a": f(2, 3, 4), "b": f(2, 4, 5)}, equation="...ij, ...jk -> ...ik")


def main():
    case("bias_gelu", "BiasGelu", {"a": f(2, 3, 8), "b": f(8)})
    case("fast_gelu", "FastGelu", {"x": f(2, 8), "bias": f(8)})
    case("quick_gelu", "QuickGelu", {"x": f(2, 8)}, alpha=1.702)
    case("gelu", "Gelu", {"x": f(2, 8)})
    case("fused_matmul", "FusedMatMul", {"a": f(2, 4, 3), "b": f(2, 5, 4)}, transA=1, transB=1, alpha=0.5)
    case("fused_matmul_batch", "FusedMatMul", {"a": f(3, 2, 4), "b": f(2, 4, 5)}, transBatchA=1)
    skip = {"x": f(2, 3, 8), "skip": f(2, 3, 8), "gamma": f(8), "beta": f(8), "bias": f(8)}
    case("skip_layer_norm", "SkipLayerNormalization", skip, outputs=["y", "", "", "sum"], epsilon=1e-5)
    case("skip_layer_norm_plain", "SkipLayerNormalization", dict(list(skip.items())[:3]), epsilon=1e-5)
    case("skip_simplified", "SkipSimplifiedLayerNormalization", {k: skip[k] for k in ("x", "skip", "gamma", "bias")}, outputs=["y", "", "", "sum"])
    cos, sin = rotary_caches(16, 4)
    for name, x, positions, more in [
        ("rotary", f(2, 5, 24), np.array([3], np.int64), {}),
        ("rotary_ids_interleaved", f(2, 5, 24), rng.integers(0, 16, (2, 5)), {"interleaved": 1}),
        ("rotary_heads", f(2, 3, 5, 8), np.array([0], np.int64), {}),
    ]:
        case(name, "RotaryEmbedding", {"x": x, "ids": positions, "cos": cos, "sin": sin}, constants=["cos", "sin"], **more)
    n_bits("matmul_4_bits", 32, 6, 16, 4)
    n_bits("matmul_4_bits_zero", 32, 6, 16, 4, zero="packed")
    n_bits("matmul_4_bits_ragged", 40, 5, 16, 4, zero="packed", bias=True)
    n_bits("matmul_8_bits", 32, 6, 16, 8)
    q, k, v = f(2, 3, 16), f(2, 5, 16), f(2, 5, 16)
    mha = lambda name, more, n_outputs=1, **attributes: case(name, "MultiHeadAttention", more, n_outputs, num_heads=4, **attributes)
    mha("mha", {"q": q, "k": k, "v": v})
    mha("mha_bias", {"q": q, "k": k, "v": v, "bias": f(48)}, scale=0.3)
    mha("mha_lengths", {"q": q, "k": k, "v": v, "bias": None, "mask": np.array([5, 3], np.int32)})
    mha("mha_mask", {"q": q, "k": k, "v": v, "bias": None, "mask": rng.integers(0, 2, (2, 5)).astype(np.int32)})
    mha("mha_added", {"q": q, "k": k, "v": v, "bias": None, "mask": None, "add": f(2, 4, 3, 5)})
    past = {"past_k": f(2, 4, 2, 4), "past_v": f(2, 4, 2, 4)}
    mha("mha_past", {"q": q, "k": f(2, 3, 16), "v": f(2, 3, 16), "bias": None, "mask": None, "add": None, **past}, n_outputs=3)
    mha("mha_causal", {"q": q, "k": f(2, 3, 16), "v": f(2, 3, 16)}, unidirectional=1)
    group_query("gqa_prompt", 2, 5, 4, 2, 16)
    group_query("gqa_prompt_rotary", 2, 5, 4, 2, 16, do_rotary=1)
    group_query("gqa_prompt_interleaved", 1, 5, 4, 2, 16, do_rotary=1, interleaved=1)
    group_query("gqa_decode", 2, 1, 4, 2, 16, held=6, past=6, do_rotary=1)
    group_query("gqa_decode_buffer", 1, 1, 4, 1, 16, held=3, past=8)
    group_query("gqa_window", 1, 6, 4, 2, 16, window=3)
    group_query("gqa_softcap", 1, 4, 4, 2, 16, softcap=2.0)
    group_query("gqa_packed", 1, 4, 4, 2, 16, packed=True)
    standard()
    (target / "index.json").write_text(json.dumps({"onnxruntime": ort.__version__, "tests": cases}, indent=1) + "\n")


target = pathlib.Path(sys.argv[1])
main()
