// The length of a loop, hidden from specialisation: n.
//
// Some drivers write the values of uniforms into the loops they bound, unroll them, and compile the kernel again for
// each dispatch (Mesa's lavapipe up to 23: 150 ms for a matrix product with k = 128 that runs in 8). They see through sums of
// uniforms and constants, but not through the number of workgroups, of which the portable limit allows 2^16.
fn at_run_time(n: u32, groups: vec3<u32>) -> u32 {
    return n + (groups.x >> 20u);
}
