"""Batched matrix product in cuTile, accumulated in fp32.

Einsum: C[b,i,j] = sum_k A[b,i,k] * B[b,k,j]  (bik,bkj->bij)

Invariants, each with a test:
  * acc holds the product over the key tiles seen so far, in fp32 whatever the input dtype; it is rounded once, at the end;
  * tiles past an edge read zeros and are not written, so no size has to be a multiple of a tile;
  * every output tile is computed by exactly one CTA, whatever the order of tiles and however many CTAs there are.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def matmul_kernel(
    A,  # (B, M, K)
    B,  # (B, K, N)
    C,  # (B, M, N)
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_K: ConstInt,
    GROUP: ConstInt,  # rows of tiles that are walked together; 0 walks row by row
    LATENCY: ConstInt,
    USE_TMA: ConstBool,
    PERSISTENT: ConstBool,
):
    num_m = ct.cdiv(A.shape[1], TILE_M)
    num_n = ct.cdiv(B.shape[2], TILE_N)
    if PERSISTENT:
        for t in range(ct.bid(0), A.shape[0] * num_m * num_n, ct.num_blocks(0)):
            output_tile(t, A, B, C, num_m, num_n, TILE_M, TILE_N, TILE_K, GROUP, LATENCY, USE_TMA)
    else:
        output_tile(ct.bid(0), A, B, C, num_m, num_n, TILE_M, TILE_N, TILE_K, GROUP, LATENCY, USE_TMA)


def output_tile(t, A, B, C, num_m, num_n, TILE_M, TILE_N, TILE_K, GROUP, LATENCY, USE_TMA):
    """Compute and write the t-th tile of C, all batches counted through."""
    b = t // (num_m * num_n)
    i, j = tile_of(t % (num_m * num_n), num_m, num_n, GROUP)
    acc = ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)
    for k in range(ct.cdiv(A.shape[2], TILE_K)):
        x = ct.load(
            A, index=(b, i, k), shape=(1, TILE_M, TILE_K), padding_mode=ZERO, latency=LATENCY, allow_tma=USE_TMA
        ).reshape((TILE_M, TILE_K))
        y = ct.load(
            B, index=(b, k, j), shape=(1, TILE_K, TILE_N), padding_mode=ZERO, latency=LATENCY, allow_tma=USE_TMA
        ).reshape((TILE_K, TILE_N))
        acc = ct.mma(x, y, acc)
    ct.store(C, index=(b, i, j), tile=acc.astype(C.dtype).reshape((1, TILE_M, TILE_N)), allow_tma=USE_TMA)


def tile_of(r, num_m, num_n, GROUP):
    """(row, column) of the r-th output tile: down GROUP rows, then one column on, so that neighbours in time share tiles in L2."""
    if GROUP == 0:
        return r // num_n, r % num_n
    first = r // (GROUP * num_n) * GROUP
    rows = min(num_m - first, GROUP)
    inside = r % (GROUP * num_n)
    return first + inside % rows, inside // rows
