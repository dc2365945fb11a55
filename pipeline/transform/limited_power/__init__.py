"""Limits of plants' power: when they held, and the energy that they prevented."""
