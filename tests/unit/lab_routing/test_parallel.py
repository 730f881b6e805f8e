"""Expert parallelism: placement, counting in both definitions, real ranks that equal one process, and a rank that dies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput, TrialFailed  # noqa: E402
from sovereign.lab.dispatch import swiglu_experts  # noqa: E402
from sovereign.lab.expert_parallel import RecordedLayer, replay  # noqa: E402
from sovereign.lab.parallel import LinkModel, count_traffic, fit_link, home_tokens, place_experts, specialised_order  # noqa: E402
from sovereign.lab.ranks import run_ranks  # noqa: E402
from sovereign.lab.routing import Routing  # noqa: E402
from sovereign.lab.routing.measures import any_remote_uniform  # noqa: E402

pytestmark = pytest.mark.lab
E, D, F = 8, 12, 6


def uniform(tokens: int, experts: int, slots: int, seed: int = 0) -> Routing:
    g = torch.Generator().manual_seed(seed)
    idx = torch.rand(tokens, experts, generator=g).argsort(-1)[:, :slots]
    return Routing(idx, torch.rand(tokens, slots, generator=g), torch.full((tokens, experts), 1 / experts))


def test_experts_are_cut_evenly_in_the_given_order() -> None:
    device = place_experts(torch.tensor([7, 6, 5, 4, 3, 2, 1, 0]), 2)
    assert device.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    with pytest.raises(LabInput, match="evenly"):
        place_experts(torch.arange(8), 3)
    with pytest.raises(LabInput, match="permutation"):
        place_experts(torch.zeros(8, dtype=torch.long), 2)


def test_a_uniform_router_meets_the_combinatorial_share_and_half_of_the_assignments() -> None:
    """64 experts, 8 slots, 2 devices: 99.76 % of tokens but 50 % of assignments. 20 000 tokens: sd 0.0004 and 0.0013."""
    routing = uniform(20_000, 64, 8)
    home = home_tokens("sample", 2, torch.arange(20_000), torch.zeros(20_000, dtype=torch.long))
    traffic = count_traffic(routing, place_experts(torch.arange(64), 2), home, 2, 4)
    assert abs(traffic.any_ratio - any_remote_uniform(64, 8, 2)) < 0.002
    assert abs(traffic.assignment_ratio - 0.5) < 0.006
    assert traffic.bytes_out == 2 * traffic.remote_tokens * 4  # two devices: a remote token crosses once there, once back
    assert sum(traffic.load) == traffic.slots == 160_000 and traffic.messages == 4


def test_counts_of_a_small_case_worked_by_hand() -> None:
    idx = torch.tensor([[0, 1], [0, 2], [2, 3], [1, 3]])
    mask = torch.tensor([[True, True], [True, True], [True, True], [True, False]])
    traffic = count_traffic(
        Routing(idx, torch.ones(4, 2), torch.ones(4, 4), mask), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), 2, 10
    )
    assert (traffic.remote_tokens, traffic.remote_slots, traffic.slots) == (3, 4, 7)
    assert (traffic.bytes_out, traffic.messages, traffic.load) == (60, 4, (4, 3))
    virtual = Routing(
        idx, torch.ones(4, 2), torch.ones(4, 4), mask, torch.tensor([[False, False], [False, True], [True, True], [True, False]])
    )
    local = count_traffic(virtual, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), 2, 10)
    assert local.remote_tokens == 0 and local.bytes_out == 0  # an identity needs no device
    none = count_traffic(virtual, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), 2, 10, torch.zeros(4, dtype=torch.bool))
    assert none.any_ratio is None and none.imbalance is None


def test_homes_by_modality_split_the_devices_and_bad_homes_are_refused() -> None:
    sample, modality = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert home_tokens("modality", 2, sample, modality).tolist() == [0, 1, 0, 1]
    assert home_tokens("modality", 4, sample, modality).tolist() == [0, 2, 1, 3]
    assert home_tokens("sample", 2, sample, modality).tolist() == [0, 0, 1, 1]
    for bad in (lambda: home_tokens("luck", 2, sample, modality), lambda: home_tokens("modality", 3, sample, modality)):
        with pytest.raises(LabInput):
            bad()
    with pytest.raises(LabInput, match="lives on device 5"):
        count_traffic(uniform(4, 8, 2), place_experts(torch.arange(8), 2), torch.tensor([0, 1, 5, 0]), 2, 4)


def test_specialised_order_puts_text_first_and_the_unvisited_in_the_middle() -> None:
    counts = torch.tensor([[0.0, 9.0, 0.0, 1.0], [9.0, 0.0, 0.0, 9.0]])
    assert specialised_order(counts).tolist() == [1, 2, 3, 0]


def test_the_link_model_is_recovered_from_exact_timings_and_refuses_one_size() -> None:
    true = LinkModel(2e-4, 1e9)
    sizes = [1e3, 1e5, 1e7]
    fitted = fit_link(sizes, [true.seconds(s) for s in sizes])
    assert abs(fitted.latency_s / true.latency_s - 1) < 1e-6 and abs(fitted.bandwidth / true.bandwidth - 1) < 1e-6
    with pytest.raises(LabInput):
        fit_link([1e3, 1e3], [1.0, 1.0])
    with pytest.raises(LabInput):
        LinkModel(0.1, 0.0)


def recorded(seed: int, tokens: int) -> RecordedLayer:
    g = torch.Generator().manual_seed(seed)
    up, down = torch.randn(E, 2 * F, D, generator=g).double(), torch.randn(E, D, F, generator=g).double()
    x, routing = torch.randn(tokens, D, generator=g).double(), uniform(tokens, E, 3, seed)
    mask = torch.rand(tokens, 3, generator=g) < 0.8
    routing = Routing(routing.idx_TK, routing.weight_TK.double(), routing.probs_TE, mask)
    return RecordedLayer(x, routing, up, down, swiglu_experts(x, routing.idx_TK, routing.weight_TK, up, down, mask))


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_give_the_output_of_one_process_and_send_what_was_counted(ranks: int, tmp_path: Path) -> None:
    """float64, so only the order of additions differs; bytes and messages are counted by the ranks themselves."""
    tokens = 41
    layers = [recorded(i, tokens) for i in range(2)]
    g = torch.Generator().manual_seed(9)
    device = torch.stack([place_experts(torch.randperm(E, generator=g), ranks) for _ in layers])
    home = torch.arange(tokens) % max(1, ranks - 1)  # the last rank has experts but no tokens of its own
    result = replay(layers, device, home, ranks, tmp_path, repeats=1)
    assert result.largest_error < 1e-12
    assert result.sent_bytes == result.counted.bytes_out > 0
    assert result.sent_messages == result.counted.messages
    assert len(result.seconds) == 1 and result.seconds[0] > 0


def test_a_killed_rank_is_a_clear_error_on_all_and_no_hang(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(TrialFailed) as caught:
        run_ranks("sovereign.lab.expert_parallel:killed_rank", 2, tmp_path, arrays={"victim": 1}, timeout_s=60)
    assert "Rank 1 of 2 died (signal 9)" in caught.value.message and "rank 0 stopped: another rank is gone" in caught.value.message
    assert "\n" not in caught.value.line() and time.monotonic() - start < 50


def test_impossible_numbers_of_ranks_are_refused(tmp_path: Path) -> None:
    for ranks in (0, 99):
        with pytest.raises(LabInput, match="ranks"):
            run_ranks("sovereign.lab.expert_parallel:killed_rank", ranks, tmp_path, arrays={})
