"""Finds services: the plugins of `<service_discovery>`."""
