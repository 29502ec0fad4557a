// grid (1, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_0_v3(const float* v1, const float* v2, float* v3)
{
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x * 4; i < 4; i += (int)gridDim.x * 4) {
    float t4_0 = 0.0f;
    float t4_1 = 0.0f;
    float t4_2 = 0.0f;
    float t4_3 = 0.0f;
    for (int r = 0; r < 7; r += 1) {
      const float t5_0 = v1[i * 7 + r];
      const float t5_1 = v1[i * 7 + r + 7];
      const float t5_2 = v1[i * 7 + r + 14];
      const float t5_3 = v1[i * 7 + r + 21];
      const float t6 = v2[r * 37 + lane];
      const float t7_0 = fmaf(t5_0, t6, t4_0);
      const float t7_1 = fmaf(t5_1, t6, t4_1);
      const float t7_2 = fmaf(t5_2, t6, t4_2);
      const float t7_3 = fmaf(t5_3, t6, t4_3);
      t4_0 = t7_0;
      t4_1 = t7_1;
      t4_2 = t7_2;
      t4_3 = t7_3;
    }
    v3[i * 37 + lane] = t4_0;
    v3[i * 37 + lane + 37] = t4_1;
    v3[i * 37 + lane + 74] = t4_2;
    v3[i * 37 + lane + 111] = t4_3;
    float t11_0 = 0.0f;
    float t11_1 = 0.0f;
    float t11_2 = 0.0f;
    float t11_3 = 0.0f;
    for (int r_1 = 0; r_1 < 7; r_1 += 1) {
      const float t12_0 = v1[i * 7 + r_1];
      const float t12_1 = v1[i * 7 + r_1 + 7];
      const float t12_2 = v1[i * 7 + r_1 + 14];
      const float t12_3 = v1[i * 7 + r_1 + 21];
      const float t13 = lane < 5 ? v2[r_1 * 37 + lane + 32] : 0.0f;
      const float t14_0 = fmaf(t12_0, t13, t11_0);
      const float t14_1 = fmaf(t12_1, t13, t11_1);
      const float t14_2 = fmaf(t12_2, t13, t11_2);
      const float t14_3 = fmaf(t12_3, t13, t11_3);
      t11_0 = t14_0;
      t11_1 = t14_1;
      t11_2 = t14_2;
      t11_3 = t14_3;
    }
    if (lane < 5) {
      v3[i * 37 + lane + 32] = t11_0;
      v3[i * 37 + lane + 69] = t11_1;
      v3[i * 37 + lane + 106] = t11_2;
      v3[i * 37 + lane + 143] = t11_3;
    }
  }
  for (int i_1 = 4 + (int)blockIdx.x; i_1 < 5; i_1 += (int)gridDim.x) {
    float t17 = 0.0f;
    for (int r_2 = 0; r_2 < 7; r_2 += 1) {
      const float t18 = v1[i_1 * 7 + r_2];
      const float t19 = v2[lane + r_2 * 37];
      const float t20 = fmaf(t18, t19, t17);
      t17 = t20;
    }
    v3[lane + i_1 * 37] = t17;
    float t23 = 0.0f;
    for (int r_3 = 0; r_3 < 7; r_3 += 1) {
      const float t24 = v1[i_1 * 7 + r_3];
      const float t25 = lane < 5 ? v2[lane + r_3 * 37 + 32] : 0.0f;
      const float t26 = fmaf(t24, t25, t23);
      t23 = t26;
    }
    if (lane < 5) {
      v3[lane + i_1 * 37 + 32] = t23;
    }
  }
}

// grid (5, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_1_v8(const float* v3, float* v8)
{
  __shared__ float v6[37];
  __shared__ float v5[37];
  __shared__ float fold0[32];
  const int lane = threadIdx.x;
  const float t1 = __int_as_float(0xff800000);
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    const float t2 = __int_as_float(0xff800000);
    const float t3 = v3[i * 37 + lane];
    const float t4 = t2 > t3 || t2 != t2 ? t2 : t3;
    fold0[lane] = t4;
    __syncthreads();
    for (int span = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        const float c0 = fold0[lane] > fold0[lane + span] || fold0[lane] != fold0[lane] ? fold0[lane] : fold0[lane + span];
        fold0[lane] = c0;
      }
      __syncthreads();
    }
    const float t5 = fold0[0];
    __syncthreads();
    const float t6 = __int_as_float(0xff800000);
    const float t7 = lane < 5 ? v3[i * 37 + lane + 32] : 0.0f;
    const float t8 = t6 > t7 || t6 != t6 ? t6 : t7;
    if (lane < 5) {
      fold0[lane] = t8;
    }
    __syncthreads();
    for (int span = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        const float c0_1 = fold0[lane] > fold0[lane + span] || fold0[lane] != fold0[lane] ? fold0[lane] : fold0[lane + span];
        fold0[lane] = c0_1;
      }
      __syncthreads();
    }
    const float t9 = fold0[0];
    __syncthreads();
    const float t10 = t5 > t9 || t5 != t5 ? t5 : t9;
    const float t12 = v3[i * 37 + lane];
    const float t13 = t12 - t10;
    v5[lane] = t13;
    const float t14 = expf(t13);
    v6[lane] = t14;
    const float t15 = 0.0f + t14;
    fold0[lane] = t15;
    __syncthreads();
    for (int span = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        const float c0_2 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_2;
      }
      __syncthreads();
    }
    const float t16 = fold0[0];
    __syncthreads();
    const float t18 = lane < 5 ? v3[i * 37 + lane + 32] : 0.0f;
    const float t19 = t18 - t10;
    if (lane < 5) {
      v5[lane + 32] = t19;
    }
    const float t20 = expf(t19);
    if (lane < 5) {
      v6[lane + 32] = t20;
    }
    const float t21 = 0.0f + t20;
    if (lane < 5) {
      fold0[lane] = t21;
    }
    __syncthreads();
    for (int span = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        const float c0_3 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_3;
      }
      __syncthreads();
    }
    const float t22 = fold0[0];
    __syncthreads();
    const float t23 = t16 + t22;
    const float t24 = v6[lane];
    const float t25 = t24 / t23;
    v8[i * 37 + lane] = t25;
    const float t26 = lane < 5 ? v6[lane + 32] : 0.0f;
    const float t27 = t26 / t23;
    if (lane < 5) {
      v8[i * 37 + lane + 32] = t27;
    }
  }
}
