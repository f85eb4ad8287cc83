// Row programs: reductions over the columns of each row, and elementwise work before and after them.
//
// TEAM lanes share a row: lane l of a team takes columns l, l + TEAM, ..; then the team combines what its
// lanes have. A workgroup has ROWS teams (ROWS * TEAM = WG), and neighbouring lanes belong to neighbouring
// rows, so that
//   TEAM = 64, ROWS = 1   reads contiguous rows side by side (softmax, norms),
//   TEAM = 16, ROWS = 16  reads contiguous rows of columns side by side (a sum over the batch),
//   TEAM = 1              needs neither barriers nor workgroup memory: for GPUs that are CPUs.
// Where sizes allow, a "column" is four columns, or a "row" is four rows, so that memory moves in vectors.
// Lanes past the last row repeat it and store nothing: every lane must come to every barrier.
//
// Generated: fn row_program(row, lane, live), with one loop over the columns per sweep; f.rows, f.cols,
// f.width (workgroups in a row of the grid); for teams of several lanes the trees of team.wgsl.

// Columns a lane adds up before it adds to the total: rounding errors of long sums stay small.
const BLOCK: u32 = 32u;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.x + group.y * f.width) * ROWS + lane % ROWS;
    row_program(min(row, f.rows - 1u), lane, row < f.rows);
}
