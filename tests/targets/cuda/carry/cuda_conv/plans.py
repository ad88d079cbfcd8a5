"""Networks and tests as lists of layers: plain data, no GPU. A layer: (name, op, kind, constants, extra)."""

import choose


def geometry(h, w, c, n, k=1, s=1, d=1, pad=None, pads=None):
    """Of a square window; pads: top, left, bottom, right."""
    p = (k - 1) * d // 2 if pad is None else pad
    top, left, bottom, right = pads or (p, p, p, p)
    oh, ow = (h + top + bottom - (k - 1) * d - 1) // s + 1, (w + left + right - (k - 1) * d - 1) // s + 1
    return {"H": h, "W": w, "C": c, "KH": k, "KW": k, "SY": s, "SX": s, "DY": d, "DX": d, "TOP": top, "LEFT": left, "OH": oh,
            "OW": ow, "N": n}  # fmt: skip


STAGES = ((16, 1, 1), (24, 2, 2), (40, 2, 2), (80, 2, 3), (112, 1, 3), (192, 2, 4), (320, 1, 1))


def se_net(images, pdl=1, capability=90, cluster=None):
    """Layers of the SE mobile net in order; each reads the one before unless `extra` says otherwise."""
    layers, extra_flags = [], {"PDL": pdl} if pdl and capability >= 90 else {}

    def add(name, op, made, **extra):
        layers.append((name, op, *made, extra))

    g = geometry(224, 224, 4, 32, 3, 2)
    add("stem", "stem", choose.stem(g, images, capability, TABLE=1, **extra_flags), real=3)
    inputs, size, number = 32, 112, 0
    for outputs, stride, count in STAGES:
        for i in range(count):
            number += 1
            s, hidden, tag = stride if i == 0 else 1, inputs * 4, f"block{number}"
            residual = s == 1 and inputs == outputs
            p = choose.pitch(inputs)
            add(f"{tag}.expand", "conv", choose.conv(geometry(size, size, p, hidden), images, capability, TABLE=1, **extra_flags), real=inputs)
            g = geometry(size, size, hidden, hidden, 3, s)
            add(f"{tag}.depthwise", "depthwise", choose.depthwise(g, images, capability, TABLE=1, SUMS=1, **extra_flags))
            size = g["OH"]
            add(f"{tag}.squeeze", "squeeze", choose.squeeze(hidden, hidden // 4, capability, cluster=cluster, **extra_flags), pixels=size * size)
            flags = {"GATED": 1, **({"RESIDUAL": 1} if residual else {}), **extra_flags}
            add(f"{tag}.project", "conv", choose.conv(geometry(size, size, hidden, outputs), images, capability, **flags), real=hidden)
            inputs = outputs
    add("head", "conv", choose.conv(geometry(size, size, inputs, 1280), images, capability, TABLE=1, **extra_flags), real=inputs)
    add("pool", "pool", choose.pool(size * size, 1280, **extra_flags))
    add("linear", "conv", choose.conv(geometry(1, 1, 1280, 1000), images, capability, **extra_flags), real=1280)
    return layers


def gated_net(images, kind="auto", pdl=1, capability=90, size=128, channels=64, depth=6, **forced):
    """Six gated convolutions."""
    flags = {"PAIR": 1, **({"PDL": pdl} if pdl and capability >= 90 else {})}
    g = geometry(size, size, channels, 2 * channels, 3)
    made = choose.conv(g, images, capability, **flags) if kind == "auto" else choose.conv_mma(g, images, capability, flags=flags)
    made = made[0], {**made[1], **forced}
    return [(f"gated{i}", "conv", *made, {"real": channels}) for i in range(depth)]


def gated_variants():
    """name -> (images, layers)."""
    found = {}
    for images in (1, 8):
        found[f"gated b{images} auto"] = images, gated_net(images)
        found[f"gated b{images} auto no pdl"] = images, gated_net(images, pdl=0)
        found[f"gated b{images} mma"] = images, gated_net(images, "mma")
        for wgs, buffers in ((4, 2), (2, 1)):
            found[f"gated b{images} w{wgs} b{buffers}"] = images, gated_net(images, WGS=wgs, BUFFERS=buffers)
        found[f"gated b{images} n128 w1 b1"] = images, gated_net(images, WGS=1, BUFFERS=1)
    return found


def se_variants():
    """name -> (images, layers)."""
    found = {f"se b{images}": (images, se_net(images)) for images in (1, 32)}
    found["se b32 late"] = 32, se_net(32, pdl=2)
    for images in (1, 32):
        found[f"se b{images} no pdl"] = images, se_net(images, pdl=0)
    return found


def experiments():
    """Single layers to time unchecked (those of notes.md are in tried/experiments.py): name -> (images, op, kind, constants, extra)."""
    return {}


def tests():
    """Odd shapes: name -> (images, op, kind, constants, extra)."""
    found = {}

    def add(name, images, op, made, **extra):
        found[name] = (images, op, *made, extra)

    odd = {
        "3x3": geometry(13, 11, 64, 64, 3), "3x3 s2": geometry(17, 19, 32, 128, 3, 2), "3x3 d2": geometry(15, 14, 96, 32, 3, 1, 2),
        "5x5": geometry(9, 23, 32, 64, 5), "uneven": geometry(16, 9, 128, 64, 3, 2, 1, pads=(0, 2, 1, 0)), "1x1": geometry(5, 7, 48, 40),
    }  # fmt: skip
    for name, g in odd.items():
        for flags in ({"TABLE": 1}, {"TABLE": 1, "RESIDUAL": 1}):
            word = "table" + " add" * ("RESIDUAL" in flags)
            n = g["N"]
            add(f"mma {name} {word}", 3, "conv", choose.conv_mma(g, 3, flags=flags), real=g["C"])
            add(f"mma75 {name} {word}", 3, "conv", choose.conv_mma(g, 3, 75, flags=flags, FORCE_SM75=1), real=g["C"])
            if name != "1x1":
                add(f"sm90 {name} {word}", 3, "conv", choose.conv(g, 3, **flags), real=g["C"])
        if name != "1x1":
            pair = {**g, "N": 2 * n}
            add(f"sm90 pair {name}", 2, "conv", choose.conv(pair, 2, PAIR=1), real=g["C"])
            add(f"mma pair {name}", 2, "conv", choose.conv_mma(pair, 2, flags={"PAIR": 1}), real=g["C"])
            add(f"mma75 pair {name}", 2, "conv", choose.conv_mma(pair, 2, 75, flags={"PAIR": 1}, FORCE_SM75=1), real=g["C"])
    kind, c = choose.conv(geometry(20, 20, 64, 128, 3), 40, PAIR=1, GATE_SIGNED=1)
    add("sm90 pair signed w4 b2", 40, "conv", (kind, {**c, "WGS": 4, "BUFFERS": 2}), real=64)
    add("sm90 pair w4 b1", 40, "conv", (kind, {**c, "WGS": 4, "BUFFERS": 1, "PDL": 1}), real=64)
    for images, g in ((5, geometry(3, 5, 96, 40)), (2, geometry(14, 14, 320, 80)), (3, geometry(7, 7, 768, 192)), (2, geometry(9, 9, 16, 24))):
        for add_it in (0, 1):
            flags = {"GATED": 1, **({"RESIDUAL": 1} if add_it else {})}
            word = f"{g['C']}-{g['N']}" + " add" * add_it
            add(f"mma gated input {word}", images, "conv", choose.conv_mma(g, images, flags=flags), real=g["C"])
            add(f"mma75 gated input {word}", images, "conv", choose.conv_mma(g, images, 75, flags=flags, FORCE_SM75=1), real=g["C"])
    add("mma signed gated input", 3, "conv", choose.conv_mma(geometry(4, 4, 64, 32), 3, flags={"GATED": 1, "GATE_SIGNED": 1}), real=64)
    big = choose.conv_mma(geometry(30, 31, 48, 120, 3, 2), 4, flags={"TABLE": 1}, TILE_M=128, TILE_N=128, TILE_K=32, WARPS_M=4, WARPS_N=2, WARPS_K=1, STAGES=4)
    add("mma 128x128x32", 4, "conv", big, real=40)
    for wm, wk, tk in ((1, 4, 128), (2, 4, 256), (1, 8, 256)):
        for g, flags in ((geometry(9, 8, 112, 40, 3, 2), {"TABLE": 1}), (geometry(7, 7, 448, 80), {"GATED": 1, "RESIDUAL": 1})):
            c = choose.conv_mma(g, 3, flags=flags, TILE_M=16 * wm, TILE_N=32, TILE_K=tk, WARPS_M=wm, WARPS_N=1, WARPS_K=wk, STAGES=3)
            add(f"mma split {wm} {wk} {tk} {g['C']}", 3, "conv", c, real=g["C"])
    for name, g in {
        "3x3": geometry(13, 11, 48, 48, 3), "3x3 s2": geometry(17, 20, 144, 144, 3, 2), "5x5": geometry(9, 10, 32, 32, 5),
        "5x5 s2": geometry(15, 14, 16, 16, 5, 2), "3x3 d2": geometry(15, 14, 96, 96, 3, 1, 2), "uneven": geometry(8, 9, 80, 80, 3, 2, 1, pads=(0, 2, 1, 0)),
    }.items():  # fmt: skip
        kind, c = choose.depthwise(g, 3, TABLE=1, SUMS=1)
        for r in (1, 2, 4):
            if name[0] == "3" or r < 4:
                add(f"depthwise {name} r{r}", 3, "depthwise", (kind, {**c, "R": r, **({"SUMS": 0, "TABLE": 0} if r == 2 else {})}))
    for channels, mid, cluster in ((128, 32, 1), (96, 24, 1), (320, 80, 4), (768, 192, 8), (160, 40, 1), (448, 112, 1)):
        kind, c = choose.squeeze(channels, mid)
        add(f"squeeze {channels} {cluster}", 3, "squeeze", (kind, {**c, "CLUSTER": cluster}), pixels=49)
    add("stem", 2, "stem", choose.stem(geometry(31, 33, 4, 32, 3, 2), 2, TABLE=1), real=3)
    add("stem 5x5", 2, "stem", ("stem", {**choose.stem(geometry(12, 13, 4, 64, 5, 1), 2)[1], "PIXELS": 3}), real=4)
    add("pool", 3, "pool", choose.pool(49, 144))
    return found


def everything():
    """(kind, architecture, constants) of all that a run needs."""
    jobs = [(f"test {n}", v[2], v[3]) for n, v in tests().items()] + [(f"try {n}", v[2], v[3]) for n, v in experiments().items()]
    for name, (_, layers) in gated_variants().items():
        jobs += [(name, layers[0][2], layers[0][3])]
    for name, (images, layers) in se_variants().items():
        jobs += [(f"{name} {n}", kind, c) for n, _, kind, c, _ in layers]
    seen, found = set(), []
    for name, kind, c in jobs:
        key = kind, tuple(sorted(c.items()))
        if key not in seen:
            seen.add(key)
            found.append((name, kind, "90a", c))
    return found


if __name__ == "__main__":
    jobs = everything()
    print(len(jobs))
    for name, kind, _, c in jobs:
        if name.startswith(("se", "gated")):
            print(name, kind, {n: v for n, v in c.items() if n not in ("KH", "KW", "SY", "SX", "DY", "DX", "TOP", "LEFT")})
