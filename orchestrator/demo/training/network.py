"""The nets. Import only where PyTorch is installed."""

import torch  # type: ignore[import-not-found]
from torch import Tensor, nn
from torch.nn import functional  # type: ignore[import-not-found]

from orchestrator.demo.portraits.vocabulary import LABELS, THEMES

EMBEDDING = 192
HIDDEN = 96
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SeparableBlock(nn.Module):  # type: ignore[misc]
    """A depthwise 3x3 and a pointwise convolution, with a shortcut where the shapes allow one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.shortcut = inputs == outputs and stride == 1
        self.spatial = _convolution(inputs, inputs, 3, stride, groups=inputs)
        self.channels = _convolution(inputs, outputs, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[N, inputs, H, W] → [N, outputs, H / stride, W / stride]."""
        result = self.channels(self.spatial(features))
        return features + result if self.shortcut else result


class TagNet(nn.Module):  # type: ignore[misc]
    """A small convolutional tagger: pictures → embedding → one logit a label."""

    def __init__(self, labels: int = len(LABELS)) -> None:
        super().__init__()
        self.body = nn.Sequential(
            # Two steps down to 56 px, not one: mouths and blush are a few pixels wide.
            _convolution(3, 16, 5, 2),
            _convolution(16, 48, 3, 2),
            SeparableBlock(48, 48),
            SeparableBlock(48, 96, 2),
            SeparableBlock(96, 96),
            SeparableBlock(96, 128),
            SeparableBlock(128, 128),
            SeparableBlock(128, 192, 2),
            SeparableBlock(192, 192),
            SeparableBlock(192, 192),
            SeparableBlock(192, 256),
        )
        self.pooled_norm = nn.BatchNorm1d(512)
        self.embed = nn.Sequential(nn.Linear(512, EMBEDDING, bias=False), nn.BatchNorm1d(EMBEDDING))
        self.classify = nn.Linear(EMBEDDING, labels)

    def embedding(self, pictures: Tensor) -> Tensor:
        """float32 BGR NCHW [N, 3, 224, 224], 0–255 → [N, 192]."""
        features = self.body((pictures - 127.5) / 64.0)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return functional.hardswish(self.embed(self.pooled_norm(pooled)))

    def forward(self, pictures: Tensor) -> Tensor:
        """float32 BGR NCHW [N, 3, 224, 224], 0–255 → logits [N, labels]."""
        return self.classify(self.embedding(pictures))


class ThemeHead(nn.Module):  # type: ignore[misc]
    """Board themes from a frozen embedding, which it standardises first."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.layers = nn.Sequential(
            nn.Linear(EMBEDDING, HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, len(THEMES))
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """[N, 192] → logits [N, 12]."""
        return self.layers((embedding - self.mean) / self.deviation)


class Wd14Export(nn.Module):  # type: ignore[misc]
    """The tagger in WD14's contract: float32 BGR NHWC [N, 448, 448, 3], 0–255 → probabilities [N, L]."""

    def __init__(self, net: TagNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        halved = functional.avg_pool2d(pictures.permute(0, 3, 1, 2), 2)
        return torch.sigmoid(self.net(halved))


class ThemeExport(nn.Module):  # type: ignore[misc]
    """The themes in another contract: float32 RGB NCHW [N, 3, 448, 448], ImageNet-normalised → logits."""

    def __init__(self, net: TagNet, head: ThemeHead) -> None:
        super().__init__()
        self.net = net
        self.head = head
        self.register_buffer("scale", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255)
        self.register_buffer("offset", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        halved = functional.avg_pool2d(pictures * self.scale + self.offset, 2)
        return self.head(self.net.embedding(halved.flip(1)))
