"""Makes quants.gguf and quants.npz with the `gguf` package: random blocks of every kind, and what they stand for.

Ran with gguf 0.19 and numpy 1.26.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType as Q, GGUFEndian, GGUFWriter
from gguf.quants import dequantize, quantize

KINDS = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K]
# Where a block has its half-precision scales, and its bytes.
HALVES = {Q.Q4_0: ([0], 18), Q.Q4_1: ([0, 2], 20), Q.Q5_0: ([0], 22), Q.Q5_1: ([0, 2], 24), Q.Q8_0: ([0], 34), Q.Q2_K: ([80, 82], 84),
          Q.Q3_K: ([108], 110), Q.Q4_K: ([0, 2], 144), Q.Q5_K: ([0, 2], 176), Q.Q6_K: ([208], 210)}


def main(out):
    rng = np.random.default_rng(7)
    writer, expected = GGUFWriter(f"{out}/quants.gguf", "llama"), {}
    writer.add_name("quants")
    writer.add_uint8("a.u8", 200)
    writer.add_int64("a.i64", -5)
    writer.add_float32("a.f32", 0.5)
    writer.add_bool("a.bool", True)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<s>", "</s>", "größe"])
    writer.add_token_scores([0.0, -1.0, -2.5])
    writer.add_array("a.ints", [1, -2, 3])
    for kind in KINDS:
        halves, size = HALVES[kind]
        blocks = rng.integers(0, 256, (2, size), dtype=np.uint8)
        for at in halves:
            blocks[:, at:at + 2] = rng.standard_normal(2).astype(np.float16).view(np.uint8).reshape(2, 2)
        writer.add_tensor(f"read.{kind.name}", blocks, raw_dtype=kind)
        expected[f"read.{kind.name}"] = dequantize(blocks, kind)
    x = rng.standard_normal((2, 64)).astype(np.float32)
    x[1, :32] = 0
    expected["x"] = x
    for kind in KINDS[:5]:
        expected[f"write.{kind.name}"] = quantize(x, kind)
    writer.add_tensor("plain.F32", x[:, :3].copy())
    writer.add_tensor("plain.F16", x[0, :5].astype(np.float16))
    expected["plain.F16"] = x[0, :5].astype(np.float16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.savez_compressed(f"{out}/quants.npz", **expected)

    big = GGUFWriter(f"{out}/big_endian.gguf", "llama", endianess=GGUFEndian.BIG)
    big.add_uint32("a.u32", 70000)
    big.add_tensor("x", x[:, :3].copy())
    big.write_header_to_file()
    big.write_kv_data_to_file()
    big.write_tensors_to_file()
    big.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
