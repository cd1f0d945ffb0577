__version__ = "3.8.4+pluperfect.0.1.0"
