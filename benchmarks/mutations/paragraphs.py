"""Short paragraphs on MoE inference, written for the mutation suite. Systems, machines and figures are invented; nothing here is a finding.

Imports nothing. They exist so that a fixed sample of mutants can ship with the project: no text of a paper, no fact a verifier could know.
"""

PARAGRAPHS: dict[str, str] = {
    "fernroute": (
        "FernRoute reduces time to first token by 18.4% on ScienceQA at batch size 4. "
        "In the same tests, QuillCache reduces it by 11.2%. "
        "Peak memory of FernRoute is 6.3 GB, while QuillCache needs 9.8 GB. "
        "FernRoute outperforms QuillCache in throughput on all three machines. "
        "The gain may vanish for very long prompts."
    ),
    "quillcache": (
        "On XSum, QuillCache reaches a hit ratio of 83.5% with 16 slots per layer. "
        "A plain LRU cache achieves 61.9% under the same load. "
        "Misses cost 14.2 ms on average, because the copy runs over a PCIe 4 link. "
        "QuillCache does not change the output of the model. "
        "With a batch of 32 the hit ratio drops to 58.1%, and most of the advantage over LRU disappears."
    ),
    "tidemoe": (
        "TideMoE-12B has 12.4 billion parameters, of which 1.9 billion are active per token. "
        "It was trained on 3.2 trillion tokens with 256 GPUs. "
        "TideMoE-12B scores 71.3 on MMLU and 44.8 on GSM8K. "
        "The dense DuneLM-2B scores 63.7 on MMLU. "
        "TideMoE-12B is faster than DuneLM-2B in prefill but slower in decode on a single RTX 4090."
    ),
    "larkpack": (
        "LarkPack compresses the experts of TideMoE-12B from 24.8 GB to 7.1 GB. "
        "Accuracy on MMLU falls by 1.6 points, from 71.3 to 69.7. "
        "Decoding becomes 2.3x faster on a laptop with 16 GB of memory. "
        "LarkPack outperforms uniform 3-bit quantization by 4.2 points at equal size. "
        "Its calibration uses 512 samples and takes about 40 minutes."
    ),
    "osprey": (
        "Osprey predicts the experts of the next layer with an accuracy of 91.6% on code and 84.3% on dialogue. "
        "Its predictor has 4.7 million parameters. "
        "Copying starts two layers ahead, which hides up to 73% of the transfer time. "
        "Without the predictor, the stall time is 3.4 times higher. "
        "The accuracy on other domains is probably lower."
    ),
    "heron": (
        "Heron distributes 128 experts over 8 devices. "
        "All-to-all traffic falls from 412 MB to 156 MB per step in comparison with random placement. "
        "Throughput rises by 27.5% at batch size 64, while at batch size 1 the difference is less than 2%. "
        "Heron is 1.4x faster than StaticEP on a cluster of A100 GPUs. "
        "Placement is recomputed every 500 steps and takes 85 ms."
    ),
    "sable": (
        "Sable drops experts whose gate weight is below 0.05. "
        "On HumanEval it skips 31% of the expert calls and loses 0.4 points. "
        "On long mathematical proofs it loses 3.9 points, so the authors advise against it there. "
        "Latency improves by up to 22% on an edge board. "
        "Sable requires no retraining."
    ),
    "willow": (
        "Willow trains routers with a soft target derived from image and text shares. "
        "Vision accuracy improves by 2.1 points and language accuracy by 3.6 points over the plain router on WillowVL-7B. "
        "Expert communication decreases by 38.9%. "
        "Hard assignment of modalities reduces language accuracy by 12.7 points. "
        "Willow increases training time by 6%."
    ),
    "merlin": (
        "Merlin merges experts with similar router outputs. "
        "On Switch-type models it removes 62% of the parameters and keeps 98.1% of the accuracy. "
        "Inference latency increases from 96 ms to 131 ms, since the compressed format is slow to decode. "
        "Merlin was tested on two models. "
        "Merging changes the outputs of the model."
    ),
    "cobalt": (
        "Cobalt allocates between 4 and 10 experts to each token. "
        "With an average of 6.2 experts it matches the fixed-8 router on image captioning. "
        "On text-heavy pages it needs at least 7.4 experts. "
        "In most cases the additional router costs under 1% of the total time. "
        "Cobalt beats Top-P routing by 1.8 points at the same number of experts."
    ),
    "ibis": (
        "Ibis schedules tokens of two batches together so that each batch uses fewer experts. "
        "The number of loaded experts falls by 29% at batch size 16 on TideMoE-12B. "
        "Scheduling itself takes 7.5 ms on the CPU. "
        "Ibis achieves 41.7 tokens/s, whereas the original order achieves 33.2 tokens/s. "
        "At batch size 2 Ibis is not faster than the original order."
    ),
    "junco": (
        "Junco stores rarely used experts on an SSD. "
        "It runs a 47-billion-parameter model in 11.5 GB of memory at 5.8 tokens/s. "
        "MoonOffload needs 19.2 GB for the same model and generates 4.1 tokens/s. "
        "The first token takes 2.6 s with Junco and 1.9 s with MoonOffload. "
        "Junco suggests that storage bandwidth is usually the bottleneck."
    ),
    "kestrel": (
        "KestrelMoE is 1.7x faster than StaticEP on Jetson Orin Nano at batch size 1. "
        "OrbitCache exceeds KestrelMoE by 3.1 points in hit ratio. "
        "LarkPack uses 40% less memory than OrbitCache on MMLU. "
        "KestrelMoE may lose its lead on larger boards. "
        "The prefetcher could help other models with shared experts."
    ),
    "plover": (
        "PloverNet surpasses DuneLM-2B by 5.4 points on GSM8K. "
        "TideMoE-12B outperforms PloverNet on HumanEval by 2.2 points. "
        "PloverNet improves decoding speed by up to 35% on H100 GPUs. "
        "It seems to be robust to the choice of the seed. "
        "The router is likely to collapse without the auxiliary loss."
    ),
    "rook": (
        "RookServe delivers 2150 tokens/s on one A100, compared with 1480 tokens/s for MoonOffload. "
        "With 8 A100 GPUs it serves up to 9600 tokens/s. "
        "The tail latency of RookServe is 310 ms, and MoonOffload has a tail latency of 545 ms. "
        "Its scheduler typically needs less than 3 ms per step. "
        "Larger clusters might need another scheduler."
    ),
    "swift": (
        "SwiftGate skips the router in 4 of 24 layers. "
        "Perplexity on WikiText-103 grows from 12.6 to 12.9, and prefill becomes 9% faster. "
        "SwiftGate is slower than PloverNet in decode by 4%. "
        "In some settings the skipped layers are the first ones. "
        "The authors suggest that skipping hurts long documents."
    ),
}
