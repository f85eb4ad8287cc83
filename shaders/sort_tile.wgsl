// Sorting long rows, step 1: tiles of 1024 neighbours in a row, sorted each in workgroup memory.
//
// The scratch buffer s gets for each row (rows lie one after the other there) the positions of its elements, sorted
// within each tile: as f32, which counts exactly to 2^24. A workgroup of 256 sorts one tile of (key, position) pairs
// with a bitonic network, 55 steps of two comparisons a lane, in 8 KiB; the position decides between equal keys, so
// the order is total and the sort stable. Places beyond the row hold the largest pair. sort_merge.wgsl joins the tiles.
// Prelude: const ORDER, DOWN; x(i), store_s(i, v).

struct Params {
    rows: u32,
    n: u32, // of a row
    inner: u32,
    tiles: u32, // of a row
}
@group(1) @binding(0) var<uniform> p: Params;

var<workgroup> keys: array<u32, 1024>;
var<workgroup> places: array<u32, 1024>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = group.y * grid.x + group.x;
    if work >= p.rows * p.tiles {
        return;
    }
    let row = work / p.tiles;
    let start = (work - row * p.tiles) * 1024u;
    let o = row / p.inner;
    let first = o * p.n * p.inner + row - o * p.inner;
    for (var k = lane; k < 1024u; k += 256u) {
        let j = start + k;
        var own = 0xffffffffu;
        if j < p.n {
            let up = ordered(bitcast<u32>(x(first + j * p.inner)), ORDER);
            own = select(up, ~up, DOWN == 1u);
        }
        keys[k] = own;
        places[k] = j;
    }
    workgroupBarrier();
    for (var size = 2u; size <= 1024u; size <<= 1u) {
        for (var apart = size >> 1u; apart > 0u; apart >>= 1u) {
            for (var k = lane; k < 512u; k += 256u) {
                // The pair (a, b): bit `apart` is 0 in a and 1 in b.
                let low = k & (apart - 1u);
                let a = ((k - low) << 1u) + low;
                let b = a + apart;
                let ka = keys[a];
                let kb = keys[b];
                let pa = places[a];
                let pb = places[b];
                let after = ka > kb || (ka == kb && pa > pb);
                if after == ((a & size) == 0u) {
                    keys[a] = kb;
                    keys[b] = ka;
                    places[a] = pb;
                    places[b] = pa;
                }
            }
            workgroupBarrier();
        }
    }
    for (var k = lane; k < 1024u; k += 256u) {
        if start + k < p.n {
            store_s(row * p.n + start + k, f32(places[k]));
        }
    }
}
