"""Energy sensors against trees made by hand after the kernel's documentation, and what meters add up from them."""

import threading
import time
from pathlib import Path

import pytest

from thew.errors import SensorError
from thew.runtime.energy import Meter, Sensor, StreamMeter, choose_meter, sensors
from thew.runtime.energy.meter import difference
from thew.runtime.energy.pmic import watts
from thew.runtime.energy.stream import parse_line

XEON = {
    "class/powercap/intel-rapl/enabled": "1",
    "class/powercap/intel-rapl:0/name": "package-0",
    "class/powercap/intel-rapl:0/energy_uj": "123456789",
    "class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
    "class/powercap/intel-rapl:0:0/name": "core",
    "class/powercap/intel-rapl:0:0/energy_uj": "2345",
    "class/powercap/intel-rapl:0:1/name": "dram",
    "class/powercap/intel-rapl:0:1/energy_uj": "4567",
    "class/powercap/intel-rapl:1/name": "psys",
    "class/powercap/intel-rapl:1/energy_uj": "99",
    "class/powercap/intel-rapl-mmio:0/name": "package-0",
    "class/powercap/intel-rapl-mmio:0/energy_uj": "123456789",
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
    "class/power_supply/BAT0/status": "Discharging",
    "class/power_supply/BAT0/power_now": "5120000",
    "class/power_supply/BAT0/current_now": "450000",
    "class/power_supply/BAT0/voltage_now": "11400000",
    "class/power_supply/BAT1/type": "Battery",
    "class/power_supply/BAT1/status": "Discharging",
    "class/power_supply/BAT1/current_now": "450000",
    "class/power_supply/BAT1/voltage_now": "11400000",
}
SERVER = {
    "class/hwmon/hwmon3/name": "amd_energy",
    "class/hwmon/hwmon3/energy1_input": "1",
    "class/hwmon/hwmon3/energy1_label": "Ecore000",
    "class/hwmon/hwmon3/energy9_input": "1",
    "class/hwmon/hwmon3/energy9_label": "Esocket0",
    "class/hwmon/hwmon3/power1_average": "5000000",  # of the same chip: the same thing again
    "class/hwmon/hwmon4/name": "power_meter",
    "class/hwmon/hwmon4/power1_average": "91000000",
}
PI = {"firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0"}
PI_ADC = """\
     3V3_SYS_A current(1)=0.10000000A
  VDD_CORE_A current(7)=2.00000000A
     3V3_SYS_V volt(9)=3.30000000V
  VDD_CORE_V volt(15)=0.75000000V
      HDMI_V volt(23)=5.17032000V
     EXT5V_V volt(24)=5.14608000V
"""
# name → files; (kind, name, quantity, counted, a reading in joules or watts)
EXPECTED = {
    "xeon": (
        XEON,
        [
            ("rapl", "package-0", "energy", True, 123.456789),
            ("rapl", "package-0 core", "energy", False, 0.002345),
            ("rapl", "package-0 dram", "energy", True, 0.004567),
            ("rapl", "psys", "energy", False, 0.000099),
        ],
    ),
    "orin": (
        ORIN,
        [
            ("ina3221", "VDD_GPU_SOC", "power", True, 19.112 * 0.232),
            ("ina3221", "VDD_CPU_CV", "power", True, 19.12 * 0.04),
        ],
    ),
    "nano": (
        NANO,
        [("ina3221", "POM_5V_IN", "power", True, 2.531), ("ina3221", "POM_5V_CPU", "power", False, 0.531)],
    ),
    "laptop": (
        LAPTOP,
        [("battery", "BAT0", "power", True, 5.12), ("battery", "BAT1", "power", True, 0.45 * 11.4)],
    ),
    "server": (
        SERVER,
        [
            ("hwmon", "Ecore000", "energy", False, 1e-6),
            ("hwmon", "Esocket0", "energy", True, 1e-6),
            ("hwmon", "power_meter", "power", True, 91.0),
        ],
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
def test_finds_each_sensor_once_and_reads_it(machine: str, tmp_path: Path) -> None:
    files, expected = EXPECTED[machine]
    found = sensors(record(tmp_path, files))
    assert [(sensor.kind, sensor.name, sensor.quantity, sensor.is_counted) for sensor in found] == [
        row[:4] for row in expected
    ]
    assert [sensor.read() for sensor in found] == pytest.approx([row[4] for row in expected])
    assert all(sensor.is_readable for sensor in found)


def test_dram_of_two_packages_is_told_apart(tmp_path: Path) -> None:
    files = {}
    for package in (0, 1):
        for zone, name in ((f"{package}", f"package-{package}"), (f"{package}:0", "dram")):
            files |= {
                f"class/powercap/intel-rapl:{zone}/name": name,
                f"class/powercap/intel-rapl:{zone}/energy_uj": "1",
            }
    found = sensors(record(tmp_path, files))
    assert [sensor.name for sensor in found] == ["package-0", "package-0 dram", "package-1", "package-1 dram"]
    assert all(sensor.is_counted for sensor in found)


def test_says_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, SERVER)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert [str(sensor) for sensor in sensors(tmp_path)][-1] == ("hwmon power_meter (power, not readable by this user)")
    with pytest.raises(SensorError, match=r"power_meter.*not readable.*--meter"):
        choose_meter(tmp_path)


def test_no_sensor_is_said(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match=r"got none.*--meter"):
        choose_meter(tmp_path)


def test_pi_asks_the_power_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tool := tmp_path / "bin" / "vcgencmd").parent.mkdir()
    tool.write_text(f'#!/bin/sh\n[ "$1" = pmic_read_adc ] && cat <<END\n{PI_ADC}END\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    (sensor,) = sensors(record(tmp_path / "sys", PI))
    assert (sensor.kind, sensor.quantity) == ("pmic", "power")
    assert sensor.read() == pytest.approx(0.1 * 3.3 + 2 * 0.75)  # rails with both current and voltage
    with pytest.raises(SensorError, match="must list currents"):
        watts("Command not registered")


def test_battery_measures_only_while_it_discharges(tmp_path: Path) -> None:
    files = {**LAPTOP, "class/power_supply/BAT0/status": "Charging", "class/power_supply/BAT1/current_now": "-450000"}
    plugged, discharging = sensors(record(tmp_path, files))
    with pytest.raises(SensorError, match="must be discharging"):
        plugged.read()
    assert discharging.read() == pytest.approx(0.45 * 11.4)


def test_counter_is_followed_over_its_wrap(tmp_path: Path) -> None:
    (package, *_) = sensors(record(tmp_path, XEON))
    assert difference(package, 100.0, 130.0) == 30.0
    assert difference(package, 262143.0, 0.5) == pytest.approx(0.5 + 0.32885)
    with pytest.raises(SensorError, match="grow or wrap"):
        difference(Sensor("hwmon", "x", "energy", lambda: 0.0), 2.0, 1.0)


def test_meter_adds_up_counters_and_powers() -> None:
    joules = {"package": 5.0}

    def counter() -> float:
        joules["package"] += 2.0
        return joules["package"]

    def broken() -> float:
        raise SensorError("sensor x: gone")

    with Meter([Sensor("hwmon", "package", "energy", counter), Sensor("hwmon", "rail", "power", lambda: 3.0)]) as meter:
        first = meter.mark()
        at = joules["package"]
        time.sleep(0.12)
        last = meter.mark()
        spent = joules["package"] - at
        reading = meter.between(first, last)
    assert reading.joules_by_sensor["package"] == pytest.approx(spent)
    assert reading.joules_by_sensor["rail"] == pytest.approx(3.0 * reading.seconds)
    assert reading.joules == pytest.approx(spent + 3.0 * reading.seconds)
    assert reading.seconds >= 0.12
    with pytest.raises(SensorError, match="gone"), Meter([Sensor("hwmon", "x", "power", broken)]):
        pass


def test_counted_sensors_alone_make_the_total(tmp_path: Path) -> None:
    with choose_meter(record(tmp_path, NANO)) as meter:
        first = meter.mark()
        time.sleep(0.06)
        reading = meter.between(first, meter.mark())
    assert reading.watts == pytest.approx(2.531)
    assert reading.joules_by_sensor["POM_5V_CPU"] == pytest.approx(0.531 * reading.seconds)


def test_external_meter_is_integrated_between_its_readings(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("timestamp,watts\n100,2\n101,4\n102,4\n103,2\n104,0\n")
    with StreamMeter(path, patience_seconds=2) as meter:
        assert meter.between(100.5, 103.0).joules == pytest.approx(3.5 * 0.5 + 4.0 + 3.0)
        assert meter.between(100.0, 104.0).joules == pytest.approx(3.0 + 4.0 + 4.0)
        with pytest.raises(SensorError, match="lengthen"):
            meter.between(102.25, 102.75)
        with pytest.raises(SensorError, match="must cover"):
            meter.between(99.0, 103.0)


def test_external_meter_may_write_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("")

    def write() -> None:
        for second in range(8):
            with path.open("a") as file:
                file.write(f"{second}.0,")
                file.flush()
                time.sleep(0.01)
                file.write("1.5\n")

    with StreamMeter(path) as meter:
        writer = threading.Thread(target=write)
        writer.start()
        assert meter.between(0.0, 6.5).joules == pytest.approx(1.5 * 6.5)
        writer.join()


@pytest.mark.parametrize("text", ["1,2\nx\n", "1.5,1\n1,1\n", "1,nan\n2,nan\n"])
def test_external_meter_that_speaks_nonsense(text: str, tmp_path: Path) -> None:
    (tmp_path / "meter.csv").write_text(text)
    with StreamMeter(tmp_path / "meter.csv") as meter, pytest.raises(SensorError, match="rising order"):
        meter.between(1.0, 2.0)


def test_external_meter_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match="start the meter"), StreamMeter(tmp_path / "none.csv"):
        pass


def test_timestamps_of_both_forms() -> None:
    assert parse_line("1700000000.25, 3.5") == (1700000000.25, 3.5)
    assert parse_line("2023-11-14T22:13:20.250Z,3.5,ignored") == (1700000000.25, 3.5)


def test_this_machine_raises_nothing() -> None:
    assert isinstance(sensors(), tuple)
