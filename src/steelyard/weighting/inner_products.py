"""Inner products between the gradients of several objectives on one batch, without ever holding all of them.

Objective k is `J_k(theta) = sum_i A[i,k] t_i(theta)`, with `t_i` an answer's *term*: its summed log-probability times a factor of the loss. For a
direction `v` that is itself a gradient, `<g_k, v> = sum_i A[i,k] (J v)_i`, where `J v` says how every term moves along `v`: one forward-mode pass, or
two plain forward passes at `theta +- eps v`, whatever K is. No more than two gradients exist at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from steelyard.errors import InputError
from steelyard.seeds import RandomState

Call = Callable[..., Any]


@dataclass(frozen=True)
class Influence:
    """What the objectives' gradients say of one another.

    Attributes:
        influence_K: float64, `I_k = <g_k, sum_j g_j>`.
        gram_KK: float64, `M[j,k] = <g_j, g_k>`, where it was asked for; `I` is its row sums.
        method: how it was found.
        tries: steps that finite differences tried.
        error_K: float64, standard errors of an unbiased influence, where they are known.
    """

    influence_K: Tensor
    gram_KK: Tensor | None = None
    method: str = "exact"
    tries: int = 0
    error_K: Tensor | None = None

    @classmethod
    def of(cls, gram_KK: Tensor, method: str = "exact") -> Influence:
        """From a Gram matrix.

        Example:
            >>> Influence.of(torch.tensor([[1.0, -0.5], [-0.5, 2.0]])).influence_K.tolist()
            [0.5, 1.5]
        """
        return cls(gram_KK.sum(0), gram_KK, method)

    @property
    def cosine_KK(self) -> Tensor | None:
        """Cosine of the angle between each two gradients, -1..1; 0 where one vanishes. Negative: the objectives are in conflict."""
        if self.gram_KK is None:
            return None
        norm_K = self.gram_KK.diagonal().clamp(min=0).sqrt()
        norms_KK = norm_K[:, None] * norm_K[None, :]
        # An unbiased square may be negative, or smaller than its products.
        return torch.where(norms_KK > 0, self.gram_KK / norms_KK.clamp(min=torch.finfo(torch.float64).tiny), 0).clamp(-1, 1)


@dataclass(frozen=True)
class AnswerTerms:
    """Some answers that fit into memory together.

    Attributes:
        rows: which rows of the advantages they are, int `[b]`.
        terms: computes `t_i`, `[b]`; with a graph where gradients are on.
        plain_terms: the same from a function that calls the model and has forward-mode rules; default: there is none.
    """

    rows: Tensor
    terms: Callable[[], Tensor]
    plain_terms: Callable[[Call], Tensor] | None = None


@dataclass
class AnswerGradients:
    """Inner products between objectives' gradients on one batch, micro-batch by micro-batch.

    Attributes:
        model: whose parameters are moved; not wrapped for distribution.
        parameters: the trained ones, by name.
        batches: the answers. A single one's graph is kept for further backward passes.
        method: one of `INFLUENCE_METHODS`.
        average: averages a tensor over processes, in place or not; identity by default.
        mixed: whether `terms` rounds more than the parameters where it makes a graph (autocast) and not where it makes none. The gradient is then
            off by that rounding, and finite differences are asked to agree with it to 5% instead of 1%.
        factor: by which finite differences multiply the step that they choose; afterwards the one that was right. Given to the next batch, it saves
            tries.
        tries: steps that were tried.
    """

    model: nn.Module
    parameters: dict[str, nn.Parameter]
    batches: Sequence[AnswerTerms]
    method: str = "jvp"
    average: Callable[[Tensor], Tensor] = lambda tensor: tensor
    mixed: bool = False
    factor: float = 1.0
    tries: int = 0
    _graph: Tensor | None = field(default=None, repr=False)
    _values: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _random: dict[int, RandomState] = field(default_factory=dict, repr=False)

    def influence(self, advantages_BK: Tensor) -> Influence:
        """`I_k = <g_k, v>` of every objective, with two gradients in memory."""
        total_B = advantages_BK.sum(1)
        direction = self.gradient(total_B)
        if self.method == "exact":
            products_K = self.products_by_backward(direction, advantages_BK, known=_norm_squared(direction))
        else:
            products_K = self.products(direction, advantages_BK, total_B)
        return Influence(products_K, method=self.method, tries=self.tries)

    def gram(self, advantages_BK: Tensor) -> Influence:
        """The whole Gram matrix, row by row, for K gradients one after the other; a row costs what `influence` does, or less."""
        size = advantages_BK.shape[1]
        gram_KK = torch.zeros(size, size, dtype=torch.float64)
        for j in range(size):
            if not advantages_BK[:, j].any():
                continue
            direction = self.gradient(advantages_BK[:, j])
            gram_KK[j, j] = _norm_squared(direction)
            if j + 1 < size:
                gram_KK[j, j + 1 :] = self.products(direction, advantages_BK[:, j + 1 :], advantages_BK[:, j])
        return Influence.of(gram_KK + gram_KK.triu(1).T, self.method)

    def gradient(self, advantages_B: Tensor) -> list[Tensor]:
        """The gradient of `sum_i A_i t_i`, over all micro-batches and processes."""
        return self.gradients(advantages_B[:, None])[0]

    def gradients(self, advantages_BV: Tensor) -> list[list[Tensor]]:
        """Several such gradients, one a column, from one forward pass a micro-batch."""
        totals: list[list[Tensor]] = [[] for _ in advantages_BV.T]
        for batch in self.batches:
            terms_b, last = self._terms(batch), len(totals) - 1
            for v, advantages_b in enumerate(advantages_BV[batch.rows].T):
                found = self._backward(terms_b, advantages_b, keep=v < last or len(self.batches) == 1)
                totals[v] = found if not totals[v] else [a.add_(b) for a, b in zip(totals[v], found, strict=True)]
        return [[self.average(gradient) for gradient in total] for total in totals]

    def products(self, direction: list[Tensor], advantages_BK: Tensor, total_B: Tensor) -> Tensor:
        """`<g_k, direction>` for every objective, float64 `[K]`; `total_B` are the advantages that `direction` is the gradient of."""
        slopes = self.slopes(direction, total_B)
        if slopes is None:
            return self.products_by_backward(direction, advantages_BK)
        products = torch.zeros(advantages_BK.shape[1], dtype=torch.float64)
        for batch, slopes_b in zip(self.batches, slopes, strict=True):
            products += (slopes_b.double() @ advantages_BK[batch.rows].to(slopes_b.device).double()).cpu()
        return self.average(products)

    def by_answer(self, slopes: list[Tensor], advantages_BK: Tensor) -> Tensor:
        """Every answer's share `A[i,k] (J v)_i` of the products, float64 `[B,K]` over all processes; they sum to `products`."""
        shares_BK = torch.zeros(advantages_BK.shape, dtype=torch.float64)
        for batch, slopes_b in zip(self.batches, slopes, strict=True):
            rows = batch.rows.cpu()
            shares_BK[rows] = slopes_b.double().cpu()[:, None] * advantages_BK[rows].cpu().double()
        return self.average(shares_BK)

    def slopes(self, direction: list[Tensor], total_B: Tensor) -> list[Tensor] | None:
        """How fast every answer's term moves along the direction, a tensor a micro-batch; None where products are found by backward passes."""
        if self.method == "exact":
            return None
        if self.method == "jvp" and any(batch.plain_terms is None for batch in self.batches):
            warn_once("influence 'jvp' reads text alone, but these prompts hold more: finite differences are used instead")
            self.method = "finite-difference"
        if self.method == "jvp":
            try:
                return self._slopes_forward_mode(direction)
            except (NotImplementedError, RuntimeError) as error:
                if "forward" not in str(error) and "jvp" not in str(error):
                    raise
                warn_once(
                    f"{type(self.model).__name__} has a layer without a forward-mode rule: finite differences are used instead"
                )
                self.method = "finite-difference"
        if self.method == "finite-difference" and torch.finfo(direction[0].dtype).bits < 32:
            warn_once(f"{direction[0].dtype} parameters swallow a finite difference's step: backward passes are used instead")
            self.method = "exact"
            return None
        miss, slopes = self._slopes_finite_difference(direction, total_B)
        if miss > (0.1 if self.mixed else 0.05):
            warn_once(
                "finite differences miss the known squared length of the gradient",
                f" by {miss:.0%} on a batch: backward passes are used instead wherever they miss it by so much",
            )
            self.method = "exact"
            return None
        return slopes

    # Backward ----------------------------------------------------------------------------------------------------------------------------

    def _terms(self, batch: AnswerTerms) -> Tensor:
        """The terms of a micro-batch with their graph; where it is the only one, the graph is kept."""
        if self._graph is not None:
            return self._graph
        with self._same_dropout(batch), torch.enable_grad():
            terms_b = batch.terms()
        _check_graph(terms_b)
        self._values[int(batch.rows[0])] = terms_b.detach()
        if len(self.batches) == 1:
            self._graph = terms_b
        return terms_b

    def _same_dropout(self, batch: AnswerTerms) -> AbstractContextManager[None]:
        """Every pass over a micro-batch draws the random numbers of its first one: with others, dropout would make it another model's."""
        at = int(batch.rows[0])
        if at in self._random:
            return self._random[at].again()
        self._random[at] = RandomState(next(iter(self.parameters.values())).device)
        return nullcontext()

    def _backward(self, terms_b: Tensor, advantages_b: Tensor, *, keep: bool) -> list[Tensor]:
        objective = (terms_b * advantages_b.to(terms_b)).sum()
        parameters = list(self.parameters.values())
        found = torch.autograd.grad(objective, parameters, retain_graph=keep, allow_unused=True)
        if all(gradient is None for gradient in found):
            raise InputError(
                f"no gradient reaches the {len(found)} parameters that influences are taken of: they take no part in the answers' "
                "log-probabilities; choose other layers, or see which parameters are trained"
            )
        return [torch.zeros_like(p) if g is None else g.detach() for g, p in zip(found, parameters, strict=True)]

    def products_by_backward(self, direction: list[Tensor], advantages_BK: Tensor, *, known: Tensor | None = None) -> Tensor:
        """As `products`, by a backward pass an objective. Where their sum is `known`, the last one's is saved."""
        fine = all(parameter.dtype in (torch.float32, torch.float64) for parameter in self.parameters.values())
        # Half precision rounds too much for a difference, and an objective without advantages has no influence, not a rounding's.
        saved = known is not None and fine and bool(advantages_BK[:, -1].any())
        size = advantages_BK.shape[1] - saved
        products_K = torch.zeros(size, dtype=torch.float64)
        for batch in self.batches:
            terms_b = None
            for k, column_b in enumerate(advantages_BK[batch.rows, :size].T):
                if column_b.any():
                    terms_b = self._terms(batch) if terms_b is None else terms_b
                    products_K[k] += inner(self._backward(terms_b, column_b, keep=True), direction)
        products_K = self.average(products_K)
        return torch.cat([products_K, (known - products_K.sum())[None]]) if saved and known is not None else products_K

    # Along the direction -----------------------------------------------------------------------------------------------------------------

    def _slopes_forward_mode(self, direction: list[Tensor]) -> list[Tensor]:
        slopes = []
        with torch.no_grad(), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
            duals = {
                name: forward_ad.make_dual(parameter.detach(), tangent)
                for (name, parameter), tangent in zip(self.parameters.items(), direction, strict=True)
            }

            def call(**inputs: Any) -> Any:
                return functional_call(self.model, duals, kwargs=inputs)

            for batch in self.batches:
                assert batch.plain_terms is not None
                with self._same_dropout(batch):
                    terms = forward_ad.unpack_dual(batch.plain_terms(call))
                slopes.append(torch.zeros_like(terms.primal) if terms.tangent is None else terms.tangent)
        return slopes

    def _slopes_finite_difference(self, direction: list[Tensor], total_B: Tensor) -> tuple[float, list[Tensor]]:
        """Central differences at a step that is chosen from what it does to the terms.

        Terms bend where the step is large and are rounded where it is small: right is a step that moves them by about `u^(1/3) / 10` of
        their size, `u` the type's rounding (half a thousandth in float32: both small models tried are within 0.5% there).
        `sum_i total_i (J v)_i = <v, v>` is known beforehand, so every step is checked; one that misses is followed by others, and the one
        that misses least is returned with its miss.
        """
        length = _norm_squared(direction).item()
        if length == 0:
            return 0.0, [torch.zeros(len(batch.rows), device=direction[0].device) for batch in self.batches]
        kept = [parameter.detach().clone() for parameter in self.parameters.values()]
        precision = torch.finfo(direction[0].dtype).eps

        @torch.no_grad()
        def terms_at(step: float) -> list[Tensor]:
            # By `.data`: a graph that is kept for the update stays valid, since every value is put back before it is used.
            for parameter, value, along in zip(self.parameters.values(), kept, direction, strict=True):
                parameter.data.copy_(value + step * along)
            found = []
            for batch in self.batches:
                with self._same_dropout(batch):
                    found.append(batch.terms().detach().double())
            return found

        found: list[tuple[float, float, list[Tensor]]] = []
        try:
            terms = torch.cat([terms.double() for terms in self._values.values()])
            size = self.average(terms.square().mean()).sqrt().item()
            # By Cauchy-Schwarz the root mean square of J v is at least <v, v> / (norm(total) sqrt(B)).
            step = 0.1 * precision ** (1 / 3) * size * (total_B.double().norm() * len(total_B) ** 0.5).item() / length
            for factor in sorted((1.0, 10.0, 0.1, 100.0), key=lambda factor: factor != self.factor):
                self.tries += 1
                above, below = terms_at(step * factor), terms_at(-step * factor)
                slopes = [(a - b) / (2 * step * factor) for a, b in zip(above, below, strict=True)]
                pairs = zip(slopes, self.batches, strict=True)
                reached = sum((s @ total_B[batch.rows].to(s.device).double()).cpu() for s, batch in pairs)
                found.append((abs(self.average(torch.as_tensor(reached)).item() / length - 1), factor, slopes))
                if found[-1][0] < (0.05 if self.mixed else 0.01 if precision > 1e-10 else 1e-6):
                    break
        finally:
            for parameter, value in zip(self.parameters.values(), kept, strict=True):
                parameter.data.copy_(value)
        miss, self.factor, slopes = min(found, key=lambda entry: entry[0])
        return miss, slopes


def _check_graph(objective: Tensor) -> None:
    """Refuse a graph in which parameters would have no gradient and not one of zero.

    Reentrant checkpointing computes its layers without a graph, and their parameters are found by `backward()` alone.

    Raises:
        InputError: where nothing is differentiated, or a part of it is hidden so.

    Example:
        >>> _check_graph(torch.ones(1))
        Traceback (most recent call last):
        steelyard.errors.InputError: the answers' log-probabilities have no gradient: ...
    """
    if objective.grad_fn is None:
        raise InputError("the answers' log-probabilities have no gradient: no trained parameter takes part in them")
    seen, open_ = {objective.grad_fn}, [objective.grad_fn]
    while open_:
        node = open_.pop()
        if node.name() == "CheckpointFunctionBackward":
            raise InputError(
                "reentrant gradient checkpointing hides its layers from influences: use gradient_checkpointing_kwargs="
                '{"use_reentrant": False}'
            )
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                open_.append(following)


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Inner product of two gradients, float64 scalar on the CPU."""
    parts = [(x * y).sum(dtype=torch.float64) for x, y in zip(a, b, strict=True)]
    # Fetched once: a wait for every parameter would cost more than the sums.
    return torch.stack([part.to(parts[0].device) for part in parts]).sum().cpu()


def _norm_squared(gradient: Sequence[Tensor]) -> Tensor:
    """Squared length of a gradient, float64 scalar on the CPU."""
    return inner(gradient, gradient)


_warned: set[str] = set()


def warn_once(what: str, details: str = "") -> None:
    """Warn, but not again of the same, whatever the details."""
    if what not in _warned:
        _warned.add(what)
        warnings.warn(what + details, stacklevel=3)
