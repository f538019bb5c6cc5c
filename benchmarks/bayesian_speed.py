"""Speed and memory of the Bayesian segmentation against the published network's arithmetic.

    python benchmarks/bayesian_speed.py [--samples 30] [--side 512] [--large 4096]

In one run, one after the other: `segment_bayesian` of a whole image with 30 samples, and the 30 forward passes the
published method takes (ERFNet with two decoders: Romera et al., IEEE Trans. Intell. Transp. Syst. 19 (2018) 263;
Neven et al., CVPR 2019; Yildirim & Cole, J. Chem. Inf. Model. 61 (2021) 1136) without its clustering. Each is measured
in its own process, for the memory. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

REPEATS = 5


def segment(side_px: int, samples: int) -> list[float]:
    """Seconds of each repetition, the loading of the model left out."""
    from emscout.particles.segmenters.bayesian import segment_bayesian
    from emscout.synthetic.particles import make_micrograph

    micrograph, *_ = make_micrograph((side_px, side_px), n_particles=60 * side_px**2 // 512**2, seed=1)
    segment_bayesian(micrograph.image[:64, :64], samples=1)
    seconds = []
    for _ in range(REPEATS if side_px <= 1024 else 1):
        start = time.perf_counter()
        segment_bayesian(micrograph.image, samples=samples)
        seconds.append(time.perf_counter() - start)
    return seconds


def run_erfnet(side_px: int, samples: int) -> list[float]:
    """Seconds of ``samples`` forward passes, from one timed pass after one that is not."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Down(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(inputs, outputs - inputs, 3, stride=2, padding=1)
            self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return functional.relu(self.norm(torch.cat([self.convolution(image), functional.max_pool2d(image, 2)], 1)))

    class Factorised(nn.Module):
        def __init__(self, width: int, dropout: float, dilation: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(width, width, (3, 1), padding=(1, 0)),
                nn.ReLU(),
                nn.Conv2d(width, width, (1, 3), padding=(0, 1)),
                nn.BatchNorm2d(width, eps=1e-3),
                nn.ReLU(),
                nn.Conv2d(width, width, (3, 1), padding=(dilation, 0), dilation=(dilation, 1)),
                nn.ReLU(),
                nn.Conv2d(width, width, (1, 3), padding=(0, dilation), dilation=(1, dilation)),
                nn.BatchNorm2d(width, eps=1e-3),
                nn.Dropout2d(dropout),
            )

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return functional.relu(self.layers(image) + image)

    def up(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.ReLU(),
        )

    def decoder(outputs: int) -> nn.Sequential:
        middle = [up(128, 64), Factorised(64, 0, 1), Factorised(64, 0, 1)]
        fine = [up(64, 16), Factorised(16, 0, 1), Factorised(16, 0, 1)]
        return nn.Sequential(*middle, *fine, nn.ConvTranspose2d(16, outputs, 2, stride=2))

    dilated = [Factorised(128, 0.3, dilation) for dilation in (2, 4, 8, 16, 2, 4, 8, 16)]
    encoder = nn.Sequential(
        Down(1, 16), Down(16, 64), *(Factorised(64, 0.03, 1) for _ in range(5)), Down(64, 128), *dilated
    )
    instances, seeds = decoder(3), decoder(1)
    for part in (encoder, instances, seeds):
        part.eval()
    seconds = []
    with torch.inference_mode():
        for repetition in range(REPEATS + 1):
            image = torch.rand(1, 1, side_px, side_px)
            start = time.perf_counter()
            features = encoder(image)
            instances(features), seeds(features)
            if repetition:
                seconds.append(samples * (time.perf_counter() - start))
    return seconds


FUNCTIONS = {"erfnet": run_erfnet, "emscout": segment}


def measure(function: str, side_px: int, samples: int) -> tuple[list[float], float]:
    """Seconds of each repetition and the peak memory in GB, in a process of its own."""
    command = [sys.executable, __file__, "--only", function, "--side", str(side_px), "--samples", str(samples)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    *seconds, gigabytes = map(float, output.split())
    return seconds, gigabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--large", type=int, default=4096, help="side of a large image, 0 for none")
    parser.add_argument("--only", choices=list(FUNCTIONS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        seconds = FUNCTIONS[options.only](options.side, options.samples)
        print(*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
        return
    fastest = {}
    for function, side in (("erfnet", options.side), ("emscout", options.side), ("emscout", options.large)):
        if side:
            seconds, gigabytes = measure(function, side, options.samples)
            fastest.setdefault(function, min(seconds))
            times = f"{np.median(seconds):.2f} s, fastest {min(seconds):.2f} s"
            print(f"{function:8} {side:5} px: {times}, {gigabytes:.2f} GB")
    print(f"{fastest['erfnet'] / fastest['emscout']:.1f} times faster (fastest against fastest)")


if __name__ == "__main__":
    main()
