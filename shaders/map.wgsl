// An elementwise program of its own: one thread for each four elements.
//
// Four, because memory moves in 16-byte vectors at best, and because index arithmetic is then done once
// for four. Neighbouring threads handle neighbouring fours, so accesses of a subgroup coalesce.
//
// Generated: fn map_at(i: u32), the program for elements 4i to 4i+3; f.count, the number of fours; f.width,
// the number of threads in a row of the grid, which has two dimensions once one is full.

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + id.y * f.width;
    if (i < f.count) {
        map_at(i);
    }
}
