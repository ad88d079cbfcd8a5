# From plans.py: what was timed to see what limits (bench.py --what try).
def experiments():
    """Single layers, timed unchecked: name -> (images, op, kind, constants, extra)."""
    found = {}

    def add(name, images, op, made, **extra):
        found[name] = (images, op, *made, extra)

    kind, c = choose.conv(geometry(128, 128, 64, 128, 3), 8, PAIR=1)
    for only in range(4):
        add(f"gated only {only}", 8, "conv", (kind, {**c, "ONLY": only}), real=64)
    g = geometry(112, 112, 16, 64)
    base = choose.conv_mma(g, 32, flags={"TABLE": 1})[1]
    for name, change in {
        "base": {}, "s3": {"STAGES": 3}, "m64": {"TILE_M": 64}, "m256": {"TILE_M": 256, "WARPS_M": 8},
    }.items():  # fmt: skip
        add(f"expand2 {name}", 32, "conv", ("conv_mma", {**base, **change}), real=16)
    g = geometry(112, 112, 128, 16)
    base = choose.conv_mma(g, 32, flags={"GATED": 1})[1]
    for name, change in {
        "base": {}, "not gated": {"GATED": 0}, "m64": {"TILE_M": 64},
    }.items():  # fmt: skip
        add(f"project1 {name}", 32, "conv", ("conv_mma", {**base, **change}), real=128)
    base = choose.depthwise(geometry(112, 112, 128, 128, 3), 32, TABLE=1, SUMS=1)[1]
    for name, change in {"base": {}, "no table": {"TABLE": 0}, "r2": {"R": 2}, "r8": {"R": 8}}.items():
        add(f"depthwise1 {name}", 32, "depthwise", ("depthwise", {**base, **change}))
    return found


