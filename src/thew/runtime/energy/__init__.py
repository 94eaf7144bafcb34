"""Energy: what this machine can measure of its own consumption, and joules over a stretch of time.

One file a kind of sensor. Where there is none, that is what is said: no figure is ever made up from a model of the CPU.
"""

from thew.runtime.energy.meter import Meter, Reading, choose_meter
from thew.runtime.energy.sensor import Sensor
from thew.runtime.energy.sources import SOURCES, sensors
from thew.runtime.energy.stream import StreamMeter

__all__ = ["SOURCES", "Meter", "Reading", "Sensor", "StreamMeter", "choose_meter", "sensors"]
