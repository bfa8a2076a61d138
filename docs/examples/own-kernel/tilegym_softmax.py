# SPDX-FileCopyrightText: Copyright (c) 2025 NVIDIA CORPORATION & AFFILIATES. All rights reserved.
#
# SPDX-License-Identifier: MIT

"""From NVIDIA TileGym 1.5.1, tilegym/ops/cutile/softmax.py.

The functions below are unchanged, the rest of the file is left out.

Source: https://pypi.org/project/tilegym/1.5.1 and https://github.com/NVIDIA/TileGym. Licence: MIT, LICENSE-tilegym.txt.
"""

import math

import cuda.tile as ct
from cuda.tile import RoundingMode as RMd

ConstInt = ct.Constant[int]
_DEFAULT_TMA_OCCUPANCY = 2


@ct.kernel(occupancy=4)
def _softmax_kernel(
    output,
    input,
    N_ROWS: ConstInt,
    TILE_SIZE: ConstInt,
    DIM_COLS: ConstInt,
):
    # Static persistent scheduling: each block processes multiple rows
    pid = ct.bid(0)
    num_programs = ct.num_blocks(0)
    offsets = ct.arange(TILE_SIZE, dtype=ct.int32)

    for row_idx in range(pid, N_ROWS, num_programs):
        # Load the row tile using index-based access
        row = ct.gather(input, (row_idx, offsets), check_bounds=True, padding_value=-math.inf)
        # Convert to float32 for computation
        row = ct.astype(row, ct.float32)

        # Subtract maximum for numerical stability
        row_max = ct.max(row, 0, keepdims=True)
        row_minus_max = row - row_max

        # Compute exponential
        numerator = ct.exp(row_minus_max, rounding_mode=RMd.APPROX)

        # Compute sum for normalization
        denominator = ct.sum(numerator, 0, keepdims=True)

        # Final softmax computation
        softmax_output = ct.truediv(numerator, denominator, rounding_mode=RMd.APPROX, flush_to_zero=True)
        softmax_output = ct.astype(softmax_output, input.dtype)
        ct.scatter(output, (row_idx, offsets), softmax_output, check_bounds=True)


@ct.kernel(occupancy=_DEFAULT_TMA_OCCUPANCY)
def _softmax_kernel_tma(
    output,
    input,
    N_ROWS: ConstInt,
    N_COLS: ConstInt,
    TILE_SIZE: ConstInt,
):
    # Static persistent scheduling: each block processes multiple rows
    pid = ct.bid(0)
    num_programs = ct.num_blocks(0)

    for row_idx in range(pid, N_ROWS, num_programs):
        # Load the entire row in one tile (TILE_SIZE >= n_cols by design)
        row = ct.load(input, index=(row_idx, 0), shape=(1, TILE_SIZE), padding_mode=ct.PaddingMode.NEG_INF)

        # Convert to float32 for computation
        row = ct.astype(row, ct.float32)

        # Subtract maximum for numerical stability
        row_max = ct.max(row, 1, keepdims=True)
        row_minus_max = row - row_max

        # Compute exponential
        numerator = ct.exp(row_minus_max, rounding_mode=RMd.APPROX)

        # Compute sum for normalization
        denominator = ct.sum(numerator, 1, keepdims=True)

        # Final softmax computation
        softmax_output = ct.truediv(numerator, denominator, rounding_mode=RMd.APPROX, flush_to_zero=True)

        # Convert back to original dtype and store
        softmax_output = ct.astype(softmax_output, input.dtype)
        ct.store(output, index=(row_idx, 0), tile=softmax_output)
