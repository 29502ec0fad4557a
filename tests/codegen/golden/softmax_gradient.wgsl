// grid (1, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v1: array<f32>;
@group(0) @binding(1) var<storage, read> v2: array<f32>;
@group(0) @binding(2) var<storage, read_write> v4: array<f32>;


@compute @workgroup_size(32)
fn k_0_v4(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  for (var i: i32 = i32(group.x) * 4; i < 4; i += i32(groups.x) * 4) {
    var t4_0: f32 = t0;
    var t4_1: f32 = t0;
    var t4_2: f32 = t0;
    var t4_3: f32 = t0;
    for (var r: i32 = 0; r < 7; r += 1) {
      let t5_0: f32 = v1[i * 7 + r];
      let t5_1: f32 = v1[i * 7 + r + 7];
      let t5_2: f32 = v1[i * 7 + r + 14];
      let t5_3: f32 = v1[i * 7 + r + 21];
      var t6: f32 = 0.0f;
      if (lane < 9) {
        t6 = v2[r * 9 + lane];
      }
      let t7_0: f32 = fma(t5_0, t6, t4_0);
      let t7_1: f32 = fma(t5_1, t6, t4_1);
      let t7_2: f32 = fma(t5_2, t6, t4_2);
      let t7_3: f32 = fma(t5_3, t6, t4_3);
      t4_0 = t7_0;
      t4_1 = t7_1;
      t4_2 = t7_2;
      t4_3 = t7_3;
    }
    if (lane < 9) {
      v4[i * 9 + lane] = t4_0;
      v4[i * 9 + lane + 9] = t4_1;
      v4[i * 9 + lane + 18] = t4_2;
      v4[i * 9 + lane + 27] = t4_3;
    }
  }
  for (var i_1: i32 = 4 + i32(group.x); i_1 < 5; i_1 += i32(groups.x)) {
    var t10: f32 = t0;
    for (var r_1: i32 = 0; r_1 < 7; r_1 += 1) {
      let t11: f32 = v1[i_1 * 7 + r_1];
      var t12: f32 = 0.0f;
      if (lane < 9) {
        t12 = v2[lane + r_1 * 9];
      }
      let t13: f32 = fma(t11, t12, t10);
      t10 = t13;
    }
    if (lane < 9) {
      v4[lane + i_1 * 9] = t10;
    }
  }
}

// grid (5, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v4: array<f32>;
@group(0) @binding(1) var<storage, read_write> v5: array<f32>;

fn weft_bits(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}
fn weft_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
var<workgroup> fold0: array<f32, 9>;

@compute @workgroup_size(32)
fn k_1_v5(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = weft_bits(0xff800000u);
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    let t1: f32 = weft_bits(0xff800000u);
    var t2: f32 = 0.0f;
    if (lane < 9) {
      t2 = v4[i * 9 + lane];
    }
    let t3: f32 = select(t2, t1, t1 > t2 || weft_nan(t1));
    if (lane < 9) {
      fold0[lane] = t3;
    }
    workgroupBarrier();
    for (var span: i32 = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        let c0: f32 = select(fold0[lane + span], fold0[lane], fold0[lane] > fold0[lane + span] || weft_nan(fold0[lane]));
        fold0[lane] = c0;
      }
      workgroupBarrier();
    }
    let t4: f32 = fold0[0];
    workgroupBarrier();
    if (lane == 0) {
      v5[i] = t4;
    }
  }
}

// grid (5, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v4: array<f32>;
@group(0) @binding(1) var<storage, read> v5: array<f32>;
@group(0) @binding(2) var<storage, read_write> v10: array<f32>;


@compute @workgroup_size(32)
fn k_2_v10(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    let t0: f32 = v5[i];
    var t1: f32 = 0.0f;
    if (lane < 9) {
      t1 = v4[i * 9 + lane];
    }
    let t2: f32 = t1 - t0;
    let t3: f32 = exp(t2);
    if (lane < 9) {
      v10[i * 9 + lane] = t3;
    }
  }
}

// grid (5, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v10: array<f32>;
@group(0) @binding(1) var<storage, read_write> v11: array<f32>;

var<workgroup> fold0: array<f32, 9>;

@compute @workgroup_size(32)
fn k_3_v11(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    let t1: f32 = 0.0f;
    var t2: f32 = 0.0f;
    if (lane < 9) {
      t2 = v10[i * 9 + lane];
    }
    let t3: f32 = t1 + t2;
    if (lane < 9) {
      fold0[lane] = t3;
    }
    workgroupBarrier();
    for (var span: i32 = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        let c0: f32 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0;
      }
      workgroupBarrier();
    }
    let t4: f32 = fold0[0];
    workgroupBarrier();
    if (lane == 0) {
      v11[i] = t4;
    }
  }
}

// grid (5, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v3: array<f32>;
@group(0) @binding(1) var<storage, read> v11: array<f32>;
@group(0) @binding(2) var<storage, read> v10: array<f32>;
@group(0) @binding(3) var<storage, read_write> v13: array<f32>;
@group(0) @binding(4) var<storage, read_write> v16: array<f32>;


@compute @workgroup_size(32)
fn k_4_v13(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 1.0f;
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    let t1: f32 = v11[i];
    var t2: f32 = 0.0f;
    if (lane < 9) {
      t2 = v3[i * 9 + lane];
    }
    let t3: f32 = t0 * t2;
    if (lane < 9) {
      v13[i * 9 + lane] = t3;
    }
    let t4: f32 = -t3;
    let t5: f32 = t4 / t1;
    var t6: f32 = 0.0f;
    if (lane < 9) {
      t6 = v10[i * 9 + lane];
    }
    let t7: f32 = t6 / t1;
    let t8: f32 = t5 * t7;
    if (lane < 9) {
      v16[i * 9 + lane] = t8;
    }
  }
}

// grid (5, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v16: array<f32>;
@group(0) @binding(1) var<storage, read> v4: array<f32>;
@group(0) @binding(2) var<storage, read> v5: array<f32>;
@group(0) @binding(3) var<storage, read> v13: array<f32>;
@group(0) @binding(4) var<storage, read> v11: array<f32>;
@group(0) @binding(5) var<storage, read> v10: array<f32>;
@group(0) @binding(6) var<storage, read_write> v25: array<f32>;

var<workgroup> v20: array<f32, 9>;
var<workgroup> v6: array<bool, 9>;
var<workgroup> fold0: array<f32, 9>;

@compute @workgroup_size(32)
fn k_5_v25(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    let t1: f32 = v5[i];
    let t2: f32 = 0.0f;
    let t3: f32 = 0.0f;
    var t4: f32 = 0.0f;
    if (lane < 9) {
      t4 = v16[i * 9 + lane];
    }
    let t5: f32 = t2 + t4;
    var t6: f32 = 0.0f;
    if (lane < 9) {
      t6 = v4[i * 9 + lane];
    }
    let t7: bool = t6 == t1;
    if (lane < 9) {
      v6[lane] = t7;
    }
    let t8: f32 = f32(t7);
    let t9: f32 = t3 + t8;
    if (lane < 9) {
      fold0[lane] = t5;
    }
    workgroupBarrier();
    for (var span: i32 = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        let c0: f32 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0;
      }
      workgroupBarrier();
    }
    let t10: f32 = fold0[0];
    workgroupBarrier();
    if (lane < 9) {
      fold0[lane] = t9;
    }
    workgroupBarrier();
    for (var span: i32 = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        let c0_1: f32 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_1;
      }
      workgroupBarrier();
    }
    let t11: f32 = fold0[0];
    workgroupBarrier();
    let t12: f32 = v11[i];
    let t13: f32 = 0.0f;
    var t14: f32 = 0.0f;
    if (lane < 9) {
      t14 = v13[i * 9 + lane];
    }
    let t15: f32 = t14 / t12;
    let t16: f32 = t15 + t10;
    var t17: f32 = 0.0f;
    if (lane < 9) {
      t17 = v10[i * 9 + lane];
    }
    let t18: f32 = t16 * t17;
    if (lane < 9) {
      v20[lane] = t18;
    }
    let t19: f32 = -t18;
    let t20: f32 = t13 + t19;
    if (lane < 9) {
      fold0[lane] = t20;
    }
    workgroupBarrier();
    for (var span: i32 = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        let c0_2: f32 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_2;
      }
      workgroupBarrier();
    }
    let t21: f32 = fold0[0];
    workgroupBarrier();
    let t22: f32 = t21 / t11;
    var t23: f32 = 0.0f;
    if (lane < 9) {
      t23 = v20[lane];
    }
    var t24: bool = false;
    if (lane < 9) {
      t24 = v6[lane];
    }
    let t25: f32 = select(t0, t22, t24);
    let t26: f32 = t23 + t25;
    if (lane < 9) {
      v25[i * 9 + lane] = t26;
    }
  }
}

// grid (5, 7, 1), 32 threads
@group(0) @binding(0) var<storage, read> v25: array<f32>;
@group(0) @binding(1) var<storage, read> v2: array<f32>;
@group(0) @binding(2) var<storage, read_write> v27: array<f32>;

var<workgroup> fold0: array<f32, 9>;

@compute @workgroup_size(32)
fn k_6_v27(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    for (var j: i32 = i32(group.y); j < 7; j += i32(groups.y)) {
      let t1: f32 = 0.0f;
      var t2: f32 = 0.0f;
      if (lane < 9) {
        t2 = v25[i * 9 + lane];
      }
      var t3: f32 = 0.0f;
      if (lane < 9) {
        t3 = v2[j * 9 + lane];
      }
      let t4: f32 = fma(t2, t3, t1);
      if (lane < 9) {
        fold0[lane] = t4;
      }
      workgroupBarrier();
      for (var span: i32 = 8; span > 0; span /= 2) {
        if (lane < span && lane + span < 9) {
          let c0: f32 = fold0[lane] + fold0[lane + span];
          fold0[lane] = c0;
        }
        workgroupBarrier();
      }
      let t5: f32 = fold0[0];
      workgroupBarrier();
      if (lane == 0) {
        v27[i * 7 + j] = t5;
      }
    }
  }
}

// grid (1, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v25: array<f32>;
@group(0) @binding(1) var<storage, read> v1: array<f32>;
@group(0) @binding(2) var<storage, read_write> v28: array<f32>;


@compute @workgroup_size(32)
fn k_7_v28(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  for (var i: i32 = i32(group.x) * 4; i < 4; i += i32(groups.x) * 4) {
    var t4_0: f32 = t0;
    var t4_1: f32 = t0;
    var t4_2: f32 = t0;
    var t4_3: f32 = t0;
    for (var r: i32 = 0; r < 5; r += 1) {
      var t5: f32 = 0.0f;
      if (lane < 9) {
        t5 = v25[r * 9 + lane];
      }
      let t6_0: f32 = v1[i + r * 7];
      let t6_1: f32 = v1[i + r * 7 + 1];
      let t6_2: f32 = v1[i + r * 7 + 2];
      let t6_3: f32 = v1[i + r * 7 + 3];
      let t7_0: f32 = fma(t5, t6_0, t4_0);
      let t7_1: f32 = fma(t5, t6_1, t4_1);
      let t7_2: f32 = fma(t5, t6_2, t4_2);
      let t7_3: f32 = fma(t5, t6_3, t4_3);
      t4_0 = t7_0;
      t4_1 = t7_1;
      t4_2 = t7_2;
      t4_3 = t7_3;
    }
    if (lane < 9) {
      v28[i * 9 + lane] = t4_0;
      v28[i * 9 + lane + 9] = t4_1;
      v28[i * 9 + lane + 18] = t4_2;
      v28[i * 9 + lane + 27] = t4_3;
    }
  }
  for (var i_1: i32 = 4 + i32(group.x) * 3; i_1 < 7; i_1 += i32(groups.x) * 3) {
    var t11_0: f32 = t0;
    var t11_1: f32 = t0;
    var t11_2: f32 = t0;
    for (var r_1: i32 = 0; r_1 < 5; r_1 += 1) {
      var t12: f32 = 0.0f;
      if (lane < 9) {
        t12 = v25[lane + r_1 * 9];
      }
      let t13_0: f32 = v1[i_1 + r_1 * 7];
      let t13_1: f32 = v1[i_1 + r_1 * 7 + 1];
      let t13_2: f32 = v1[i_1 + r_1 * 7 + 2];
      let t14_0: f32 = fma(t12, t13_0, t11_0);
      let t14_1: f32 = fma(t12, t13_1, t11_1);
      let t14_2: f32 = fma(t12, t13_2, t11_2);
      t11_0 = t14_0;
      t11_1 = t14_1;
      t11_2 = t14_2;
    }
    if (lane < 9) {
      v28[lane + i_1 * 9] = t11_0;
      v28[lane + i_1 * 9 + 9] = t11_1;
      v28[lane + i_1 * 9 + 18] = t11_2;
    }
  }
}
