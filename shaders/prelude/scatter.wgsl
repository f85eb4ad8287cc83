// What the scatter kernels have in common. Shapes are seen as (outer, along the dimension, inner).

struct ScatterParams {
    count: u32, // invocations
    n: u32,     // indices of a list: the size of src along the dimension
    inner: u32,
    size: u32,  // size of y along the dimension
}
