# SPDX-FileCopyrightText: Copyright (c) 2025 NVIDIA CORPORATION & AFFILIATES. All rights reserved.
#
# SPDX-License-Identifier: MIT

"""From NVIDIA TileGym 1.5.1, tilegym/ops/cutile/layer_norm_legacy.py.

The functions below are unchanged, the rest of the file is left out.

Source: https://pypi.org/project/tilegym/1.5.1 and https://github.com/NVIDIA/TileGym. Licence: MIT, LICENSE-tilegym.txt.
"""

import cuda.tile as ct

PAD_ZERO = ct.PaddingMode.ZERO


@ct.kernel
def _persistent_layer_norm_fwd_kernel(
    X,
    Y,
    W,
    B,
    Mean,
    Rstd,
    N: ct.Constant[int],
    D: ct.Constant[int],
    EPS: ct.Constant[float],
    STRIDE_X: ct.Constant[int],
    STRIDE_Y: ct.Constant[int],
    IS_SWISH: ct.Constant[int],
    TRAINING: ct.Constant[int],
    BLOCK_N: ct.Constant[int],
    BLOCK_D: ct.Constant[int],
    COMPUTE_MEAN_AND_RSTD: ct.Constant[int],
    NUM_SMS: ct.Constant[int],
):
    """Persistent layer norm forward kernel with cuTile."""
    pid = ct.bid(0)
    upper_bound = ct.cdiv(N, BLOCK_N)

    # TMA handles padding (defaults to 0) automatically when BLOCK_D > D
    w = ct.load(W, index=(0,), shape=(BLOCK_D,), padding_mode=PAD_ZERO)
    b = ct.load(B, index=(0,), shape=(BLOCK_D,), padding_mode=PAD_ZERO)

    w = ct.astype(w, ct.float32)
    b = ct.astype(b, ct.float32)

    for current_pid in range(pid, upper_bound, NUM_SMS):
        row_offset = current_pid * BLOCK_N
        rows = row_offset + ct.arange(BLOCK_N, dtype=ct.int32)

        x_tile = ct.load(X, index=(current_pid, 0), shape=(BLOCK_N, BLOCK_D), padding_mode=PAD_ZERO, latency=4)
        x = ct.astype(x_tile, ct.float32)

        if COMPUTE_MEAN_AND_RSTD:
            x_squared = x * x
            avg_square = ct.sum(x_squared, axis=1) / D
            mean = ct.sum(x, axis=1) / D
            var = avg_square - mean * mean
            rstd = ct.rsqrt(var + EPS)
            if TRAINING:
                ct.store(Mean, index=(current_pid,), tile=mean, allow_tma=False)
                ct.store(Rstd, index=(current_pid,), tile=rstd, allow_tma=False)
        else:
            mean = ct.gather(Mean, rows)
            rstd = ct.gather(Rstd, rows)

        if BLOCK_N != 1:
            mean = mean[:, None]
            rstd = rstd[:, None]

        # Normalize and apply linear transformation
        x_hat = (x - mean) * rstd
        w_broadcasted = w[None, :]
        b_broadcasted = b[None, :]
        y = x_hat * w_broadcasted + b_broadcasted

        if IS_SWISH:
            y = ct.sigmoid(y) * x
        y = ct.astype(y, ct.bfloat16)
        ct.store(Y, index=(current_pid, 0), tile=y, allow_tma=False)
