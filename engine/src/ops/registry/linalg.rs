//! Products of matrices.

use super::convert::Variadic;
use super::rows;
use crate::dtype::Scalar;
use crate::tensor::Tensor;

const ONE: Scalar = Scalar::Int(1);

rows! {
    "matmul"(input: Tensor, other: Tensor) input.matmul(&other);
    "__rmatmul__"(input: Tensor, other: Tensor) other.matmul(&input);
    "mm"(input: Tensor, mat2: Tensor) input.mm(&mat2);
    "bmm"(input: Tensor, mat2: Tensor) input.bmm(&mat2);
    "mv"(input: Tensor, vec: Tensor) input.mv(&vec);
    "dot"(input: Tensor, tensor: Tensor) input.dot(&tensor);
    "outer"(input: Tensor, vec2: Tensor) input.outer(&vec2);
    "addmm"(input: Tensor, mat1: Tensor, mat2: Tensor, beta: Scalar = ONE, alpha: Scalar = ONE) input.addmm(&mat1, &mat2, beta, alpha);
    "addmv"(input: Tensor, mat: Tensor, vec: Tensor, beta: Scalar = ONE, alpha: Scalar = ONE) input.addmv(&mat, &vec, beta, alpha);
    "baddbmm"(input: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar = ONE, alpha: Scalar = ONE) input.baddbmm(&batch1, &batch2, beta, alpha);
    "einsum"(equation: String, operands: Variadic<Tensor>) Tensor::einsum(&equation, &operands.0.iter().collect::<Vec<_>>());
    "nn.functional.linear"(input: Tensor, weight: Tensor, bias: Option<Tensor>) input.linear(&weight, bias.as_ref());
}
