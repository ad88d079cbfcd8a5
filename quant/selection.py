"""Which transform stands before a site: the one with the least loss on vectors that it was not made from.

    loss = ||q(T_W W)^T q(T_X x) - W^T x||^2 / ||W^T x||^2

over held-out x and the columns of all layers of the site (arXiv 2512.00956, section 3, equation 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgegate.graph import Array
from edgegate.quant.moments import Moments, weight_moments
from edgegate.quant.recipe import Recipe
from edgegate.quant.sites import Site
from edgegate.quant.transforms import Kind, Transform, build, fixed, rho, rounded, tuned
from edgegate.quant.transforms.gains import STEPS

COLUMNS, PRODUCTS = 256, 1 << 29
"""A layer is judged by all its columns if that takes at most so many products, else by a sample of so many columns."""
MARGIN = 1.02
"""A cheaper transform is taken if its loss is at most so many times the least."""
ASKED: dict[str, tuple[Kind, ...]] = {
    "none": (), "hadamard": ("hadamard",), "wush-diag": ("wush_diag",), "wush": ("wush",),
    "auto": ("hadamard", "wush_diag", "wush"),
}  # fmt: skip
"""What may stand before a site, by :attr:`Recipe.transform`."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A transform that a site could have.

    Attributes:
        transform: Of integers, unless its diagonal or all of it is folded.
        folded: "" nothing, "diagonal", or "all": what goes into the layers before.
        multiplications: Added per vector, or additions where it has no multiplications.
        factor: By what the input is multiplied before it is quantized: a transform that was not made for powers of
            two leaves it open, and integers have it for nothing.
        loss: On the held-out vectors.
    """

    transform: Transform
    folded: str
    multiplications: int
    factor: float = 1.0
    loss: float = np.inf


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was decided for a site.

    Attributes:
        site: The site.
        candidate: What is taken; its kind may be "identity".
        losses: Of every transform that was tried, by kind, the identity's among them.
        rho: What the moments predict for the loss of WUSH, as a share of that of Hadamard.
        source: Where the moments came from.
        reason: In words.
    """

    site: Site
    candidate: Candidate
    losses: Mapping[str, float]
    rho: float
    source: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Foldable:
    """What the layers before a site can take (:mod:`edgegate.quant.folds`).

    Attributes:
        diagonal: Groups of channels that must share a factor of a diagonal; None: it cannot be folded.
        blocks: Groups of blocks that must share a matrix; None: matrices cannot be folded.
    """

    diagonal: Sequence[Sequence[int]] | None = None
    blocks: Sequence[Sequence[int]] | None = None


def select(
    site: Site, m_x: Moments, held_out: Array, recipe: Recipe, foldable: Foldable, *, free_scale: bool = False
) -> Choice:
    """The transform of a site.

    Args:
        site: The site.
        m_x: Moments of its value.
        held_out: float64 [R, K].
        recipe: What is asked for, and the budget.
        foldable: Of the site.
        free_scale: Whether the input can have any factor.
    """
    m_w = weight_moments(list(site.matrices()), site.block)
    judge = Judge(site, held_out, recipe.seed, free_scale=free_scale)
    plain = Candidate(transform=fixed("identity", site.channels, site.block), folded="", multiplications=0)
    tried = [judge(plain)]
    refused = []
    products = site.channels * site.outputs
    for kind in _kinds(recipe, m_x):
        made = _candidate(site, kind, m_x, m_w, recipe, foldable)
        if made is None:
            refused.append(f"{kind} is too ill-conditioned in {recipe.transform_bits} bits")
        elif recipe.transform == "auto" and made.multiplications > recipe.transform_budget * products:
            refused.append(f"{kind} costs {made.multiplications} operations, past the budget")
        else:
            tried.append(judge(made))
    losses = {str(c.transform.kind): c.loss for c in tried}
    taken = cheapest(tried) if recipe.transform == "auto" else tried[-1]
    reason = "; ".join([_reason(taken, tried, recipe), *refused])
    return Choice(site=site, candidate=taken, losses=losses, rho=rho(m_x, m_w), source=m_x.source, reason=reason)


def cheapest(tried: list[Candidate]) -> Candidate:
    """The cheapest that is nearly as good as the best, and no worse than the first, the identity."""
    best = min(c.loss for c in tried)
    good = [c for c in tried if c.loss <= min(MARGIN * best, tried[0].loss)]
    return min(good, key=lambda c: (c.multiplications, c.loss))


def _kinds(recipe: Recipe, m_x: Moments) -> tuple[Kind, ...]:
    """Without data, the moments are known along the diagonal only: WUSH would be no more than WUSH-diag."""
    kinds = ASKED[recipe.transform]
    known = m_x.source == "calibration"
    return kinds if known or recipe.transform != "auto" else tuple(k for k in kinds if k != "wush")


def _candidate(
    site: Site, kind: Kind, m_x: Moments, m_w: Moments, recipe: Recipe, foldable: Foldable
) -> Candidate | None:
    """A transform in the form in which it is computed; None if it cannot be rounded."""
    size = site.block
    count = -(-site.channels // size)
    adds = count * size * (size.bit_length() - 1)
    if kind == "wush_diag" and foldable.diagonal is not None:
        both = [alike(m, foldable.diagonal) for m in (m_x, m_w)]
        return Candidate(transform=_built(site, kind, *both), folded="diagonal", multiplications=adds)
    if kind == "wush" and foldable.blocks is not None:
        both = [joint(m, foldable.blocks) for m in (m_x, m_w)]
        stored = rounded(build(kind, *both), recipe.transform_bits or "pow2")
        return None if stored is None else Candidate(transform=stored, folded="all", multiplications=0)
    stored = rounded(_built(site, kind, m_x, m_w), recipe.transform_bits or "pow2")
    if stored is None:
        return None
    multiplications = adds if kind == "hadamard" else count * size * size
    return Candidate(transform=stored, folded="", multiplications=multiplications)


def _built(site: Site, kind: Kind, m_x: Moments, m_w: Moments) -> Transform:
    """The transform, with the factors that suit the formats; its channels' own, if none must be alike."""
    made = build(kind, m_x, m_w)
    if site.activations is None or site.weights.block > site.block:
        return made
    return tuned(made, m_x, list(site.matrices()), site.weights, x_form=site.activations)


def alike(moments: Moments, groups: Sequence[Sequence[int]]) -> Moments:
    """The moments' diagonal, with the mean of a group of channels in the place of each."""
    diagonal = moments.diagonal.reshape(-1).copy()
    for group in groups:
        diagonal[list(group)] = diagonal[list(group)].mean()
    blocks = diagonal.reshape(moments.diagonal.shape)[:, :, None] * np.eye(moments.block)
    return replace(moments, blocks=blocks)


def joint(moments: Moments, groups: Sequence[Sequence[int]]) -> Moments:
    """The moments, with the mean of a group of blocks in the place of each."""
    blocks = moments.blocks.copy()
    for group in groups:
        blocks[list(group)] = blocks[list(group)].mean(axis=0)
    return replace(moments, blocks=blocks)


class Judge:
    """Measures the loss of candidates on the same vectors and columns."""

    def __init__(self, site: Site, held_out: Array, seed: int, *, free_scale: bool = False) -> None:
        self.site, self.x = site, held_out
        whole = len(held_out) * site.channels * site.outputs <= PRODUCTS
        rng = np.random.default_rng(seed)
        self.columns = [m if whole else _some(m, rng) for m in site.matrices()]
        self.products = [held_out @ m for m in self.columns]
        self.signal = sum(float(np.square(p).sum()) for p in self.products)
        form = site.activations
        self.free = free_scale and form is not None and form.power_of_two

    def __call__(self, candidate: Candidate) -> Candidate:
        """The candidate with its loss, 0 where the layers' outputs are zero, and its factor."""
        site, transform = self.site, candidate.transform
        x = transform.apply_x(self.x)
        weights = [site.weights.quantize(transform.apply_w(m).T).values().T for m in self.columns]
        if site.storage.scales:  # they are given, and the weights lie on them
            weights = [transform.apply_w(m) for m in self.columns]
        tuned = transform.kind in ("wush", "wush_diag")
        factors = 2.0 ** (np.arange(STEPS) / STEPS) if self.free and not tuned else np.ones(1)
        losses = [self._loss(x, float(factor), weights) for factor in factors]
        best = int(np.argmin(losses))
        return replace(candidate, factor=float(factors[best]), loss=losses[best])

    def _loss(self, x: Array, factor: float, weights: Sequence[Array]) -> float:
        """With the input, float64 [R, K'], quantized after it was multiplied by ``factor``."""
        if self.site.activations is not None:
            x = self.site.activations.quantize(x * factor).values() / factor
        pairs = zip(weights, self.products, strict=True)
        error = sum(float(np.square(x @ w - product).sum()) for w, product in pairs)
        return error / self.signal if self.signal else 0.0


def _some(matrix: Array, rng: np.random.Generator) -> Array:
    """A sample of a matrix's columns."""
    if matrix.shape[1] <= COLUMNS:
        return matrix
    return matrix[:, np.sort(rng.choice(matrix.shape[1], COLUMNS, replace=False))]


def _reason(taken: Candidate, tried: list[Candidate], recipe: Recipe) -> str:
    kind = taken.transform.kind
    if recipe.transform != "auto":
        return f"{recipe.transform} was asked for"
    if len(tried) == 1:
        return "there was nothing to choose from"
    if kind == "identity":
        return "no transform lowers the loss"
    share = taken.loss / tried[0].loss if tried[0].loss else 1.0
    return f"{kind} leaves {share:.0%} of the loss"
