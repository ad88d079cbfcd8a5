"""Which kernel, with which constants, for a layer. Geometry: H, W, C (pitch), KH, KW, SY, SX, DY, DX, TOP, LEFT, OH, OW, N."""

import instantiate

SHARED = {75: 65536, 80: 166912, 86: 101376, 87: 166912, 89: 101376, 90: 232448}
TILES = [  # TILE_M, TILE_N, WARPS_M, WARPS_N, WARPS_K
    (m, n, wm, wn, 1)
    for m, wm in ((32, 2), (64, 4), (128, 4), (128, 2), (64, 2))
    for n in (16, 32, 48, 64, 80, 96, 112, 128)
    for wn in (1, 2, 4)
    if wm * wn in (4, 8) and n % (16 * wn) == 0 and m // wm * n // wn <= 64 * 64
] + [(m, n, m // 16, 1, k) for m, n, k in ((16, 16, 4), (16, 16, 8), (16, 32, 4), (16, 32, 8), (32, 16, 4), (32, 32, 4))]


def pitch(channels):
    """Bytes of a pixel of so many channels."""
    return -(-channels // 16) * 16


def conv_mma(geometry, images, capability=90, multiprocessors=132, flags=None, **forced):
    """The tile with the least estimated cycles."""
    flags = flags or {}
    m, n, k = images * geometry["OH"] * geometry["OW"], geometry["N"], geometry["KH"] * geometry["KW"] * geometry["C"]
    best = None
    for tm, tn, wm, wn, wk in TILES:
        if tn > max(pitch(n), 16) or flags.get("PAIR") and tn % 32 or wk > 1 and k < 128:
            continue
        for tk in (32, 64, 128, 256):
            threads, chunks = 32 * wm * wn * wk, tk // 16
            if threads // chunks > 2 * tm or tk > 32 and tk // 2 >= k or tk % (32 * wk) or tk == 256 and wk != 8:
                continue
            steps = -(-k // tk)
            stages = 2 if capability < 80 else max(2, min(4 if tk < 128 else 3, steps + 1))
            c = {**geometry, **flags, "TILE_M": tm, "TILE_N": tn, "TILE_K": tk, "WARPS_M": wm, "WARPS_N": wn, "WARPS_K": wk, "STAGES": stages}
            size = instantiate.shared("conv_mma", **c) + instantiate.static_shared("conv_mma", **c)
            if size > SHARED[capability] // 2 or instantiate.static_shared("conv_mma", **c) > 47000:
                continue
            blocks = -(-m // tm) * -(-n // tn)
            gating = tm * k * 10 / 128 if flags.get("GATED") else 0  # cycles of a whole multiprocessor
            epilogue = tm * tn * (0.2 if flags.get("PAIR") else 0.1)
            work = tm * tn * steps * tk / 2400 + epilogue + (tm + tn) * steps * tk / 40 + gating + 150
            latency = 900 + steps * (150 + tk / 32 / wk * (tm // wm // 16) * (tn // wn // 8) * 18) + gating + tm * tn / (threads // wk) * 12 + 40 * wk
            waves = -(-blocks // multiprocessors)
            at_once = max(1, min(8, SHARED[capability] // size, 65536 // (threads * 128)))
            cycles = waves * work + latency * max(1, -(-waves // at_once)) + 400
            if best is None or cycles < best[0]:
                best = cycles, c
    return "conv_mma", {**best[1], **forced}


def conv(geometry, images, capability=90, multiprocessors=132, **flags):
    """A dense convolution with its epilogue. flags: TABLE, PAIR, RESIDUAL, GATED, GATE_SIGNED, PDL."""
    n, c = geometry["N"], geometry["C"]
    window = geometry["KH"] * geometry["KW"] > 1
    if capability >= 90 and window and not flags.get("GATED") and c % 32 == 0:
        for tile in (128, 64, 32):
            if n % tile or flags.get("PAIR") and tile < 64:
                continue
            for wgs, buffers in ((2, 1), (1, 1)):  # 4 and 2: no gain
                given = {**geometry, **flags, "TILE_N": tile, "WGS": wgs, "BUFFERS": buffers}
                if instantiate.shared("conv_sm90", **given) + instantiate.static_shared("conv_sm90", **given) + 1024 <= SHARED[90]:
                    return "conv_sm90", given
    return conv_mma(geometry, images, capability, multiprocessors, flags)


def depthwise(geometry, images, capability=90, multiprocessors=132, **flags):
    """A depthwise convolution (C channels in and out)."""
    x = 2 if geometry["SX"] == 1 and geometry["DX"] == 1 and geometry["OW"] > 1 else 1
    rows = 1
    for r in (4, 2):
        if geometry["OH"] >= r and images * -(-geometry["OH"] // r) * -(-geometry["OW"] // x) * geometry["C"] // 4 >= multiprocessors * 512:
            rows = r
            break
    geometry = {n: v for n, v in geometry.items() if n != "N"}
    return "depthwise", {**geometry, **flags, "R": rows, "X": x, "THREADS": 256}


def squeeze(channels, mid, capability=90, cluster=None, **flags):
    """Squeeze and excite."""
    cluster = cluster if cluster else 1 if capability < 90 or channels <= 160 else 8
    return "squeeze", {"C": channels, "MID": mid, "CLUSTER": cluster, "THREADS": 256, **flags}


def stem(geometry, images, capability=90, multiprocessors=132, **flags):
    """A convolution of up to 4 channels."""
    geometry = {n: v for n, v in geometry.items() if n != "C"}
    return "stem", {**geometry, **flags, "THREADS": 128, "PIXELS": 1 if images == 1 else 8}


def pool(pixels, channels, **flags):
    """The mean over pixels."""
    return "pool", {"PIXELS": pixels, "C": channels, **flags}
