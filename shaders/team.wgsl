// A tree over the lanes of each team, lane l of row r being l * ROWS + r; all of them get the result.
// A template: COMBINE stands for sum, prod, max, min, first_max or first_min, TYPE for the type that is combined
// (prelude/combine.wgsl); pool_TYPE is workgroup memory of one TYPE a lane.
fn team_COMBINE_TYPE(v: TYPE, lane: u32) -> TYPE {
    pool_TYPE[lane] = v;
    for (var step = TEAM / 2u; step > 0u; step >>= 1u) {
        workgroupBarrier();
        if (lane / ROWS < step) {
            pool_TYPE[lane] = COMBINE_TYPE(pool_TYPE[lane], pool_TYPE[lane + step * ROWS]);
        }
    }
    workgroupBarrier();
    let result = pool_TYPE[lane % ROWS];
    // The next tree may use the same memory.
    workgroupBarrier();
    return result;
}
