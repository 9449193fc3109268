"""Devices that networks are measured on: how files and commands get there, and which ones the user has."""
