"""The loss of a network whose pixel embeddings cluster around their particle's centre.

Neven et al., "Instance segmentation by jointly optimizing spatial embeddings and clustering bandwidth", CVPR 2019;
Berman et al., "The Lovász-Softmax loss", CVPR 2018.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from emscout.training.network import COORDINATE_UNIT_PX

WINDOW_POINTS = 32
"""The window around a particle is sampled at this many points along each side."""

FAR_POINTS = 256
"""Points drawn all over the image, beside those of the window, as background of each particle."""


@dataclass(frozen=True)
class LossParts:
    """The three terms of the loss and their weighted sum, scalars."""

    total: Tensor
    lovasz: Tensor
    seed: Tensor
    smoothness: Tensor
    overlap: Tensor


def lovasz_hinge(score: Tensor, truth: Tensor) -> Tensor:
    """Lovász hinge of each row: ``score`` in -1..1 and ``truth`` (0 or 1), both (N, P), to (N,)."""
    errors, order = torch.sort(1.0 - score * (2.0 * truth - 1.0), dim=1, descending=True)
    ordered = truth.gather(1, order)
    positives = ordered.sum(1, keepdim=True)
    intersection = positives - ordered.cumsum(1)
    union = positives + (1.0 - ordered).cumsum(1)
    jaccard = 1.0 - intersection / union
    weight = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], 1)
    return (functional.relu(errors) * weight).sum(1)


def pixel_embeddings(output: Tensor) -> Tensor:
    """Coordinate plus offset of each pixel, (B, 4, H, W) to (B, H, W, 2), in embedding units."""
    height, width = output.shape[-2:]
    row = torch.arange(height, device=output.device, dtype=torch.float32) / COORDINATE_UNIT_PX
    col = torch.arange(width, device=output.device, dtype=torch.float32) / COORDINATE_UNIT_PX
    return torch.stack([output[:, 0] + row[:, None], output[:, 1] + col[None, :]], -1)


def _sample_points(
    boxes: Tensor, image_index: Tensor, size: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Flat pixel indices (N, P) around each box and all over its image, and which of them lie inside."""
    height, width = size
    device = boxes.device
    count = len(boxes)
    low, high = boxes[:, :2].float(), boxes[:, 2:].float()
    side = torch.maximum((high - low) * 1.5, torch.full_like(low, WINDOW_POINTS))
    start = (low + high - side) / 2
    jitter = torch.rand((count, 2), generator=generator, device=device)
    steps = torch.arange(WINDOW_POINTS, device=device, dtype=torch.float32)
    points = torch.floor(
        start[:, :, None] + (steps[None, None] + jitter[:, :, None]) * side[:, :, None] / WINDOW_POINTS
    ).long()
    row, col = points[:, 0, :, None], points[:, 1, None, :]
    inside = ((row >= 0) & (row < height) & (col >= 0) & (col < width)).reshape(count, -1)
    near = (row.clamp(0, height - 1) * width + col.clamp(0, width - 1)).reshape(count, -1)
    far = torch.randint(0, height * width, (count, FAR_POINTS), generator=generator, device=device)
    flat = torch.cat([near, far], 1) + image_index[:, None] * (height * width)
    return flat, torch.cat([inside, torch.ones_like(far, dtype=torch.bool)], 1)


def particle_loss(
    output: Tensor,
    instances: Tensor,
    boxes: Tensor,
    image_index: Tensor,
    ignored: Tensor,
    generator: torch.Generator,
    *,
    largest_sample: int = 400,
    seed_weight: float = 2.0,
    smoothness_weight: float = 0.1,
) -> LossParts:
    """Loss of a batch.

    Parameters
    ----------
    output
        The network's output, (B, 4, H, W) float32: offsets, log sigma, seed logit.
    instances
        (B, H, W) int64: 0 is background, 1..N count the particles of the whole batch without gaps.
    boxes
        (N, 4) int64: first row, first col, last row + 1, last col + 1 of each particle.
    image_index
        (N,) int64: the image of the batch each particle lies in.
    ignored
        (B, H, W) bool: pixels whose truth is unknown.
    generator
        Of the same device; draws the particles and the points that are compared.
    largest_sample
        At most this many particles enter the Lovász term.
    """
    count = len(boxes)
    height, width = output.shape[-2:]
    embedding = pixel_embeddings(output).reshape(-1, 2)
    log_sigma = output[:, 2].reshape(-1)
    seed = output[:, 3].reshape(-1)
    flat = instances.reshape(-1)
    known = (~ignored).reshape(-1)
    foreground = torch.nonzero(flat).squeeze(1)
    if count == 0:
        seed_loss = functional.softplus(seed[known]).mean()
        nothing = output.sum() * 0.0
        return LossParts(seed_weight * seed_loss + nothing, nothing, seed_loss, nothing, nothing)

    owner = flat[foreground] - 1
    features = torch.cat([embedding[foreground], log_sigma[foreground, None]], 1)
    size = torch.bincount(owner, minlength=count).float()
    means = torch.zeros((count, 3), device=output.device).index_add(0, owner, features) / size[:, None]
    deviation = (log_sigma[foreground] - means[owner, 2].detach()).square()
    smoothness = (torch.zeros(count, device=output.device).index_add(0, owner, deviation) / size).mean()

    with torch.no_grad():
        squared = (embedding[foreground] - means[owner, :2]).square().sum(1)
        target = torch.zeros_like(seed)
        target[foreground] = torch.exp(-squared * torch.exp(means[owner, 2]))
    seed_loss = functional.binary_cross_entropy_with_logits(seed[known], target[known])

    chosen = torch.randperm(count, generator=generator, device=output.device)[:largest_sample]
    points, inside = _sample_points(boxes[chosen], image_index[chosen], (height, width), generator)
    squared = (embedding[points] - means[chosen, None, :2]).square().sum(2)
    gaussian = torch.exp(-squared * torch.exp(means[chosen, None, 2])) * inside
    truth = ((flat[points] == chosen[:, None] + 1) & inside).float()
    lovasz = lovasz_hinge(2.0 * gaussian - 1.0, truth).mean()
    with torch.no_grad():
        found = gaussian > 0.5
        both = (found & (truth > 0)).sum(1)
        overlap = (both / (found | (truth > 0)).sum(1).clamp(min=1)).mean()
    total = lovasz + seed_weight * seed_loss + smoothness_weight * smoothness
    return LossParts(total, lovasz, seed_loss, smoothness, overlap)
