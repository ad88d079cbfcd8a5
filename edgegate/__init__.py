"""EdgeGate compiles gated neural networks to integer-only programs for the edge."""
