"""Detection of energy sensors, against trees recorded from real machines (names as their kernels show them)."""

from pathlib import Path

import pytest

from thew.runtime.energy import sensors

XEON = {
    "class/powercap/intel-rapl/enabled": "1",
    "class/powercap/intel-rapl:0/name": "package-0",
    "class/powercap/intel-rapl:0/energy_uj": "123456789",
    "class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
    "class/powercap/intel-rapl:0:0/name": "dram",
    "class/powercap/intel-rapl:0:0/energy_uj": "4567",
    "class/hwmon/hwmon0/name": "coretemp",
    "class/hwmon/hwmon0/temp1_input": "41000",
}
ORIN = {
    "class/hwmon/hwmon1/name": "ina3221",
    "class/hwmon/hwmon1/in1_input": "19112",
    "class/hwmon/hwmon1/in1_label": "VDD_GPU_SOC",
    "class/hwmon/hwmon1/curr1_input": "232",
    "class/hwmon/hwmon1/in2_input": "19120",
    "class/hwmon/hwmon1/in2_label": "VDD_CPU_CV",
    "class/hwmon/hwmon1/curr2_input": "40",
    "class/hwmon/hwmon1/curr4_input": "272",  # the sum of channels has no voltage of its own
    "class/hwmon/hwmon0/name": "nct1008",
    "class/hwmon/hwmon0/curr1_input": "7",
    "class/hwmon/hwmon0/in1_input": "7",
}
NANO = {
    "bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input": "2531",
    "bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN",
    "bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power2_input": "531",
    "bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_2": "POM_5V_CPU",
}
LAPTOP = {
    "class/power_supply/AC/type": "Mains",
    "class/power_supply/AC/current_now": "0",
    "class/power_supply/AC/voltage_now": "0",
    "class/power_supply/BAT0/type": "Battery",
    "class/power_supply/BAT0/power_now": "5120000",
    "class/power_supply/BAT0/current_now": "450000",
    "class/power_supply/BAT0/voltage_now": "11400000",
    "class/power_supply/BAT1/type": "Battery",
    "class/power_supply/BAT1/current_now": "450000",
    "class/power_supply/BAT1/voltage_now": "11400000",
}
SERVER = {
    "class/hwmon/hwmon3/name": "amd_energy",
    "class/hwmon/hwmon3/energy1_input": "1",
    "class/hwmon/hwmon3/energy1_label": "Ecore000",
    "class/hwmon/hwmon3/energy9_input": "1",
    "class/hwmon/hwmon3/energy9_label": "Esocket0",
    "class/hwmon/hwmon4/name": "power_meter",
    "class/hwmon/hwmon4/power1_average": "91000000",
}
EXPECTED = {
    "xeon": (XEON, [("rapl", "package-0", "energy"), ("rapl", "dram", "energy")]),
    "orin": (ORIN, [("ina3221", "VDD_GPU_SOC", "current"), ("ina3221", "VDD_CPU_CV", "current")]),
    "nano": (NANO, [("ina3221", "POM_5V_IN", "power"), ("ina3221", "POM_5V_CPU", "power")]),
    "laptop": (LAPTOP, [("battery", "BAT0", "power"), ("battery", "BAT1", "current")]),
    "server": (
        SERVER,
        [("hwmon", "Ecore000", "energy"), ("hwmon", "Esocket0", "energy"), ("hwmon", "power_meter", "power")],
    ),
    "none": ({}, []),
}


def record(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize("machine", EXPECTED)
def test_finds_each_sensor_once(machine: str, tmp_path: Path) -> None:
    files, expected = EXPECTED[machine]
    found = sensors(record(tmp_path, files))
    assert [(sensor.kind, sensor.name, sensor.quantity) for sensor in found] == expected
    assert all(sensor.readable and path.exists() for sensor in found for path in sensor.paths)


def test_current_comes_with_its_voltage(tmp_path: Path) -> None:
    (first, second) = sensors(record(tmp_path, ORIN))
    assert [path.name for path in first.paths] == ["curr1_input", "in1_input"]
    assert [path.name for path in second.paths] == ["curr2_input", "in2_input"]


def test_says_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, XEON)
    monkeypatch.setattr("os.access", lambda path, mode: "intel-rapl:0:0" not in str(path))
    assert [str(sensor) for sensor in sensors(tmp_path)] == [
        "rapl package-0 (energy)",
        "rapl dram (energy, not readable by this user)",
    ]


def test_this_machine_raises_nothing() -> None:
    assert isinstance(sensors(), tuple)
