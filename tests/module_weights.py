"""The weights of a torch module in the shape that engines' models are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from snsearch.engine.weights import LayerWeights, Norm, Weights
from snsearch.network.operators import Op


def module_weights(ops: Sequence[Op], state: Mapping[str, Tensor]) -> Weights:
    """The weights of a Network of these operators, from its state_dict()."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
    return {
        index: LayerWeights(weight=arrays[f"{op.name}.linear.weight"], bias=arrays[f"{op.name}.linear.bias"])
        if op.kind == "linear"
        else LayerWeights(
            weight=arrays[f"{op.name}.conv.weight"],
            bias=arrays.get(f"{op.name}.conv.bias"),
            norm=Norm(
                scale=arrays[f"{op.name}.norm.weight"],
                shift=arrays[f"{op.name}.norm.bias"],
                mean=arrays[f"{op.name}.norm.running_mean"],
                variance=arrays[f"{op.name}.norm.running_var"],
            ),
        )
        for index, op in enumerate(ops)
        if op.kind in ("conv", "linear")
    }
