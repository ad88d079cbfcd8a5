"""Small gated networks, trained on real images, that EdgeGate compiles.

Run from the root of the repository: ``python -m examples.train``, ``python -m examples.demo``.
"""
