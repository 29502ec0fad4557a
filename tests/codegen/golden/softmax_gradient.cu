// grid (1, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_0_v4(const float* v1, const float* v2, float* v4)
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
      const float t6 = lane < 9 ? v2[r * 9 + lane] : 0.0f;
      const float t7_0 = fmaf(t5_0, t6, t4_0);
      const float t7_1 = fmaf(t5_1, t6, t4_1);
      const float t7_2 = fmaf(t5_2, t6, t4_2);
      const float t7_3 = fmaf(t5_3, t6, t4_3);
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
  for (int i_1 = 4 + (int)blockIdx.x; i_1 < 5; i_1 += (int)gridDim.x) {
    float t10 = 0.0f;
    for (int r_1 = 0; r_1 < 7; r_1 += 1) {
      const float t11 = v1[i_1 * 7 + r_1];
      const float t12 = lane < 9 ? v2[lane + r_1 * 9] : 0.0f;
      const float t13 = fmaf(t11, t12, t10);
      t10 = t13;
    }
    if (lane < 9) {
      v4[lane + i_1 * 9] = t10;
    }
  }
}

// grid (5, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_1_v5(const float* v4, float* v5)
{
  __shared__ float fold0[9];
  const int lane = threadIdx.x;
  const float t0 = __int_as_float(0xff800000);
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    const float t1 = __int_as_float(0xff800000);
    const float t2 = lane < 9 ? v4[i * 9 + lane] : 0.0f;
    const float t3 = t1 > t2 || t1 != t1 ? t1 : t2;
    if (lane < 9) {
      fold0[lane] = t3;
    }
    __syncthreads();
    for (int span = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        const float c0 = fold0[lane] > fold0[lane + span] || fold0[lane] != fold0[lane] ? fold0[lane] : fold0[lane + span];
        fold0[lane] = c0;
      }
      __syncthreads();
    }
    const float t4 = fold0[0];
    __syncthreads();
    if (lane == 0) {
      v5[i] = t4;
    }
  }
}

// grid (5, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_2_v10(const float* v4, const float* v5, float* v10)
{
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    const float t0 = v5[i];
    const float t1 = lane < 9 ? v4[i * 9 + lane] : 0.0f;
    const float t2 = t1 - t0;
    const float t3 = expf(t2);
    if (lane < 9) {
      v10[i * 9 + lane] = t3;
    }
  }
}

// grid (5, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_3_v11(const float* v10, float* v11)
{
  __shared__ float fold0[9];
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    const float t2 = lane < 9 ? v10[i * 9 + lane] : 0.0f;
    const float t3 = 0.0f + t2;
    if (lane < 9) {
      fold0[lane] = t3;
    }
    __syncthreads();
    for (int span = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        const float c0 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0;
      }
      __syncthreads();
    }
    const float t4 = fold0[0];
    __syncthreads();
    if (lane == 0) {
      v11[i] = t4;
    }
  }
}

// grid (5, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_4_v13(const float* v3, const float* v11, const float* v10, float* v13, float* v16)
{
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    const float t1 = v11[i];
    const float t2 = lane < 9 ? v3[i * 9 + lane] : 0.0f;
    const float t3 = 1.0f * t2;
    if (lane < 9) {
      v13[i * 9 + lane] = t3;
    }
    const float t4 = -t3;
    const float t5 = t4 / t1;
    const float t6 = lane < 9 ? v10[i * 9 + lane] : 0.0f;
    const float t7 = t6 / t1;
    const float t8 = t5 * t7;
    if (lane < 9) {
      v16[i * 9 + lane] = t8;
    }
  }
}

// grid (5, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_5_v25(const float* v16, const float* v4, const float* v5, const float* v13, const float* v11, const float* v10, float* v25)
{
  __shared__ float v20[9];
  __shared__ bool v6[9];
  __shared__ float fold0[9];
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    const float t1 = v5[i];
    const float t4 = lane < 9 ? v16[i * 9 + lane] : 0.0f;
    const float t5 = 0.0f + t4;
    const float t6 = lane < 9 ? v4[i * 9 + lane] : 0.0f;
    const bool t7 = t6 == t1;
    if (lane < 9) {
      v6[lane] = t7;
    }
    const float t8 = (float)t7;
    const float t9 = 0.0f + t8;
    if (lane < 9) {
      fold0[lane] = t5;
    }
    __syncthreads();
    for (int span = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        const float c0 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0;
      }
      __syncthreads();
    }
    const float t10 = fold0[0];
    __syncthreads();
    if (lane < 9) {
      fold0[lane] = t9;
    }
    __syncthreads();
    for (int span = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        const float c0_1 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_1;
      }
      __syncthreads();
    }
    const float t11 = fold0[0];
    __syncthreads();
    const float t12 = v11[i];
    const float t14 = lane < 9 ? v13[i * 9 + lane] : 0.0f;
    const float t15 = t14 / t12;
    const float t16 = t15 + t10;
    const float t17 = lane < 9 ? v10[i * 9 + lane] : 0.0f;
    const float t18 = t16 * t17;
    if (lane < 9) {
      v20[lane] = t18;
    }
    const float t19 = -t18;
    const float t20 = 0.0f + t19;
    if (lane < 9) {
      fold0[lane] = t20;
    }
    __syncthreads();
    for (int span = 8; span > 0; span /= 2) {
      if (lane < span && lane + span < 9) {
        const float c0_2 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_2;
      }
      __syncthreads();
    }
    const float t21 = fold0[0];
    __syncthreads();
    const float t22 = t21 / t11;
    const float t23 = lane < 9 ? v20[lane] : 0.0f;
    const bool t24 = lane < 9 ? v6[lane] : false;
    const float t25 = t24 ? t22 : 0.0f;
    const float t26 = t23 + t25;
    if (lane < 9) {
      v25[i * 9 + lane] = t26;
    }
  }
}

// grid (5, 7, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_6_v27(const float* v25, const float* v2, float* v27)
{
  __shared__ float fold0[9];
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    for (int j = (int)blockIdx.y; j < 7; j += (int)gridDim.y) {
      const float t2 = lane < 9 ? v25[i * 9 + lane] : 0.0f;
      const float t3 = lane < 9 ? v2[j * 9 + lane] : 0.0f;
      const float t4 = fmaf(t2, t3, 0.0f);
      if (lane < 9) {
        fold0[lane] = t4;
      }
      __syncthreads();
      for (int span = 8; span > 0; span /= 2) {
        if (lane < span && lane + span < 9) {
          const float c0 = fold0[lane] + fold0[lane + span];
          fold0[lane] = c0;
        }
        __syncthreads();
      }
      const float t5 = fold0[0];
      __syncthreads();
      if (lane == 0) {
        v27[i * 7 + j] = t5;
      }
    }
  }
}

// grid (1, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_7_v28(const float* v25, const float* v1, float* v28)
{
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x * 4; i < 4; i += (int)gridDim.x * 4) {
    float t4_0 = 0.0f;
    float t4_1 = 0.0f;
    float t4_2 = 0.0f;
    float t4_3 = 0.0f;
    for (int r = 0; r < 5; r += 1) {
      const float t5 = lane < 9 ? v25[r * 9 + lane] : 0.0f;
      const float t6_0 = v1[i + r * 7];
      const float t6_1 = v1[i + r * 7 + 1];
      const float t6_2 = v1[i + r * 7 + 2];
      const float t6_3 = v1[i + r * 7 + 3];
      const float t7_0 = fmaf(t5, t6_0, t4_0);
      const float t7_1 = fmaf(t5, t6_1, t4_1);
      const float t7_2 = fmaf(t5, t6_2, t4_2);
      const float t7_3 = fmaf(t5, t6_3, t4_3);
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
  for (int i_1 = 4 + (int)blockIdx.x * 3; i_1 < 7; i_1 += (int)gridDim.x * 3) {
    float t11_0 = 0.0f;
    float t11_1 = 0.0f;
    float t11_2 = 0.0f;
    for (int r_1 = 0; r_1 < 5; r_1 += 1) {
      const float t12 = lane < 9 ? v25[lane + r_1 * 9] : 0.0f;
      const float t13_0 = v1[i_1 + r_1 * 7];
      const float t13_1 = v1[i_1 + r_1 * 7 + 1];
      const float t13_2 = v1[i_1 + r_1 * 7 + 2];
      const float t14_0 = fmaf(t12, t13_0, t11_0);
      const float t14_1 = fmaf(t12, t13_1, t11_1);
      const float t14_2 = fmaf(t12, t13_2, t11_2);
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
