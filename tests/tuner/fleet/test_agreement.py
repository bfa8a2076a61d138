"""Devices of one name are grouped by whether their reference kernels agree, whoever is asked first."""

from hypothesis import given
from hypothesis import strategies as st

from spak.tuner.backend.gpu.steady import drift
from spak.tuner.fleet.agreement import agreeing_machines

SAMPLES = st.lists(st.floats(90.0, 120.0), min_size=6, max_size=12).map(tuple)
FLEETS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), SAMPLES.map(lambda one: {"clock": one}), max_size=6)


@given(FLEETS, st.randoms())
def test_every_machine_is_in_one_group_whose_first_it_agrees_with(readings, rng):
    groups = agreeing_machines(readings)
    assert sorted(machine for group in groups for machine in group) == sorted(readings)
    for group in groups:
        assert all(drift(readings[machine], readings[group[0]]) is None for machine in group)
    firsts = [readings[group[0]] for group in groups]
    pairs = [(one, other) for place, one in enumerate(firsts) for other in firsts[:place]]
    assert all(drift(one, other) is not None for one, other in pairs)
    shuffled = rng.sample(list(readings.items()), len(readings))
    assert agreeing_machines(dict(shuffled)) == groups


def test_a_card_clocked_lower_is_another_device_and_noise_is_not():
    noise = (99.0, 99.5, 100.0, 100.2, 100.5, 101.0, 101.5)
    readings = {
        "slow": {"clock": tuple(us * 1.08 for us in noise), "memory": noise},
        "one": {"clock": noise, "memory": noise},
        "two": {"clock": tuple(us * 1.01 for us in noise), "memory": noise},
        "thin": {"clock": noise, "memory": tuple(us * 1.2 for us in noise)},
    }
    assert agreeing_machines(readings) == [["one", "two"], ["thin"], ["slow"]]
