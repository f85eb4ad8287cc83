// Values that several kernels name.

const ZERO = vec4<f32>(0.0, 0.0, 0.0, 0.0);
