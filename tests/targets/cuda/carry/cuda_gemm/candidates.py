"""What is built and measured: name -> (kind, architecture, constants, shapes, odd shapes)."""

BIG = [(4096, 4096, 4096), (8192, 8192, 8192)]
TALL = [(1024, 4096, 11008)]
ODD = [(300, 528, 400), (65, 144, 4112), (1000, 1040, 144)]
ODD_ANY = [(301, 523, 400), (129, 257, 48), (77, 1001, 1040)]
INT8 = {"OUT_INT8": 1, "BIAS": 1}


def all_candidates():
    found = {}

    def add(name, kind, arch, shapes, odd, **constants):
        found[name] = (kind, arch, constants, shapes, odd)

    def sm90(name, shapes=BIG, odd=ODD, **c):
        add(name, "gemm_sm90", "90a", shapes, odd, **c)

    cm2, mid = {"CLUSTER_M": 2}, [(512, 4096, 4096), (2048, 2048, 2048)]
    one = {"CONSUMERS": 1, "TILE_M": 64}
    few = [(32, 4096, 4096), (64, 4096, 4096), (128, 4096, 4096)]
    w = (256, 4096, 4096)
    pp = {"PINGPONG": 1, "TILE_N": 128, "STAGES": 6}
    sm90("A 128x256", BIG + TALL + mid)
    sm90("A 128x256 cm2", BIG, **cm2)
    sm90("A 128x256 2x2", BIG[:1], CLUSTER_M=2, CLUSTER_N=2)
    sm90("A 256x128 cn2", BIG, CLUSTER_N=2, TILE_M=256, TILE_N=128)
    sm90("A 128x128 pp", BIG + TALL + mid, **pp)
    sm90("A 64x256 pp", BIG[:1], PINGPONG=1, TILE_M=64, STAGES=5)
    sm90("A 128x128", mid, TILE_N=128, STAGES=6)
    sm90("A 64x128", mid + [w], **one, TILE_N=128, STAGES=8)
    sm90("A 64x64", few[2:], **one, TILE_N=64, STAGES=12)
    sm90("A 128x256 direct", BIG[:1], odd=ODD_ANY, STORE_TMA=0, BIAS=1)
    sm90("A 128x128 pp direct", BIG[:1], odd=ODD_ANY, STORE_TMA=0, BIAS=1, **pp)
    sm90("A8 128x256", BIG + TALL + mid, **INT8)
    sm90("A8 128x256 table", BIG, TABLE=1, **INT8)
    sm90("A8 128x256 all", BIG[:1], PER_COLUMN=0, **INT8)
    sm90("A8 128x128 pp", BIG + TALL + mid, **pp, **INT8)
    sm90("A8 64x64 direct", few[1:2], odd=ODD_ANY, **one, TILE_N=64, STAGES=12, STORE_TMA=0, TABLE=1, **INT8)
    sm90("A8 64x32", few[:1], **one, TILE_N=32, STAGES=16, TABLE=1, **INT8)

    from choose import choose

    eight = {**INT8, "TABLE": 1}
    for shape in [*BIG, *TALL, *mid, w, *few, (16, 4096, 4096), (8, 4096, 4096), (1, 5632, 2048), (1, 2048, 5632), (4, 5632, 2048),
                  (8, 5632, 2048), (8, 2048, 5632), (12544, 64, 576), (4096, 4001, 4096)]:  # fmt: skip
        for name, epilogue in (("auto", {}), ("auto8 table", eight)):
            kind, c = choose(*shape, **epilogue)
            add(f"{name} {'x'.join(map(str, shape))}", kind, "90a", [shape], [], **c)

    def small(name, m, odd=((5, 523, 400), (33, 130, 4112)), **c):
        add(name, "small_sm90", "90a", [(m, 4096, 4096)], [*odd, (m + 3, 1028, 1040)], **c)

    small("B 32 w64 k2 s16", 32, TILE_T=32, CONSUMERS=1, SPLIT=2, STAGES=16)
    small("B 32 w64 k4 s8", 32, TILE_T=32, CONSUMERS=1, SPLIT=4, STAGES=8)
    small("B8 32 w64 k2 s16", 32, TILE_T=32, TABLE=1, CONSUMERS=1, SPLIT=2, STAGES=16, **INT8)
    small("B 128 w64 t128 k2 s7", 128, TILE_T=128, CONSUMERS=1, SPLIT=2, STAGES=7)
    small("B 256 w64 t128 k1 s8", 256, TILE_T=128, CONSUMERS=1, SPLIT=1, STAGES=8)
    small("B 256 o2 w64 t128 k2 s6", 256, TILE_T=128, CONSUMERS=1, SPLIT=2, TOGETHER=2, STAGES=6)

    def thin(name, m, n, k, **c):
        add(name, "thin", "90", [(m, n, k)], [(m, 523, 400), (m, 1030, 4112), (max(m - 1, 1), 7, 16), (m + 9, 80, 64)], **c)

    for m in (8, 16, 32):
        thin(f"T {m} k8 u4", m, 4096, 4096, TOKENS=m, WARPS_K=8, UNROLL=4)
    thin("T8 16 k8 u4", 16, 4096, 4096, TOKENS=16, WARPS_K=8, TABLE=1, **INT8)
    thin("T75 16 k8 u4", 16, 4096, 4096, TOKENS=16, WARPS_K=8, FORCE_SM75=1)

    def mma(name, arch="90", shapes=BIG[:1], **c):
        add(name, "gemm_mma", arch, shapes, ODD_ANY + ODD[:1], **c)

    mma("C 128x128x128 s3", TILE_K=128, TILE_N=128, WARPS_N=2, shapes=BIG)
    mma("C 64x64x128 s4", TILE_M=64, TILE_K=128, TILE_N=64, WARPS_N=2, STAGES=4, shapes=[mid[1], w])
    mma("C8 128x128x128 s3", TILE_K=128, TILE_N=128, WARPS_N=2, TABLE=1, **INT8)
    mma("C75 128x128x64", TILE_N=128, STAGES=2, WARPS_N=2, FORCE_SM75=1)
    mma("C75 8 128x128x64", TILE_N=128, STAGES=2, WARPS_N=2, FORCE_SM75=1, TABLE=1, **INT8)

    def gemv(name, m, n=5632, k=2048, **c):
        add(name, "gemv", "90", [(m, n, k)], [(m, 523, 400), (m, 1030, 4112), (max(m - 1, 1), 7, 16)], BATCH=m, **c)

    add("D null", "gemv", "90", [(1, 8, 16)], [], ROWS=1)
    gemv("D 1 5632x2048 r1 n8 k1 u4", 1, ROWS=1, WARPS_N=8)
    for m in (2, 4, 8):
        gemv(f"D {m} 5632x2048 r4 n4 k1 u2", m, UNROLL=2)
    gemv("D8 1 5632x2048 r2 n4 k1 u4", 1, ROWS=2, TABLE=1, **INT8)
    return found
