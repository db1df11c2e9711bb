"""Runs a graph of stages; never names one."""
